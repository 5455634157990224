//! Which element types a precision means on a device.

use candle_core::DType;
use wisp_core::{BackendError, BackendId, Device, Precision};

/// Element types of one session. Inputs are integers and outputs `f32` whatever these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arithmetic {
    /// What matrices and tables are held in.
    pub(super) weights: DType,
    /// What is computed in; weights of another type are converted as they are used.
    pub(super) activations: DType,
}

impl Arithmetic {
    /// The types behind `precision` on `device`.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`], naming what the device has.
    pub(super) fn of(device: Device, precision: Precision) -> Result<Self, BackendError> {
        if !precisions(device).contains(&precision) {
            let known: Vec<_> = precisions(device).iter().map(|precision| precision.name()).collect();
            let what = format!("precision {precision} on {device}; use one of {}", known.join(", "));
            return Err(BackendError::Unsupported { backend: BackendId::Candle, what });
        }
        let weights = match precision {
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
            Precision::F32 | Precision::Int8 => DType::F32,
        };
        let activations = if device == Device::Cpu { DType::F32 } else { weights };
        Ok(Self { weights, activations })
    }
}

/// What this backend runs in on `device`.
pub(super) fn precisions(device: Device) -> &'static [Precision] {
    match device {
        Device::Cpu | Device::Gpu(_) => &[Precision::F32, Precision::Bf16, Precision::F16],
        Device::Npu | Device::Combined(_) => &[],
    }
}
