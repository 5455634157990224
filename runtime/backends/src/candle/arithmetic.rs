//! Which element types a precision means on a device.
//!
//! On a GPU, half precision is computed in as well as held: LayerNorm and softmax sum in `f32`. On the CPU, `bf16` and `f16`
//! are what matrices and tables are held in; each matrix is widened to `f32` as it is used, and everything is computed in
//! `f32`. Candle has no bf16 product on the CPU (it widens both factors and rounds the result, each time), and its f16 one is
//! no faster than f32, so half precision saves memory there and no time. Measured on a model of MiniLM's shape (6 layers,
//! hidden 384, random weights), with 2 cores that other builds were using too, hence processor time and not elapsed time:
//!
//! | | memory after load | 32 rows of 16 tokens | 8 rows of 256 tokens |
//! |---|---|---|---|
//! | f32 | 86 MiB | 550 ms | 2050 ms |
//! | bf16, widened (this) | 48 MiB | 561 ms | 2295 ms |
//! | f16, widened (this) | 48 MiB | 583 ms | 2263 ms |
//! | bf16, computed in | 48 MiB | 818 ms | 3528 ms |
//! | f16, computed in | 48 MiB | 844 ms | 3848 ms |

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
