//! NVIDIA GPUs through CUDA's driver.

use candle_core::Device as CandleDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError};
use wisp_core::{BackendError, Device, DeviceReport};

use super::{is_out_of_memory, precisions, refuse};

/// The most devices that are looked at; no machine in sight has more.
const DEVICE_LIMIT: u32 = 64;

pub(super) fn open(index: u32) -> Result<CandleDevice, BackendError> {
    let device = Device::Gpu(index);
    let count = device_count().map_err(|reason| refuse(device, reason))?;
    if index >= count {
        let last = count - 1;
        let reason =
            format!("the driver has {count} devices; use gpu:0 to gpu:{last}, or make more visible to this process");
        return Err(refuse(device, reason));
    }
    CandleDevice::new_cuda(index as usize).map_err(|error| {
        let reason = error.to_string();
        match is_out_of_memory(&error) {
            true => BackendError::OutOfMemory { backend: wisp_core::BackendId::Candle, device, reason },
            false => refuse(device, reason),
        }
    })
}

pub(super) fn reports() -> Vec<DeviceReport> {
    let report = |index, name, missing| {
        let device = Device::Gpu(index);
        DeviceReport { device, name, missing, precisions: precisions(device).to_vec() }
    };
    match device_count() {
        Err(missing) => vec![report(0, None, Some(missing))],
        Ok(count) => (0..count.min(DEVICE_LIMIT))
            .map(|index| match CudaContext::new(index as usize).and_then(|context| context.name()) {
                Ok(name) => report(index, Some(name), None),
                Err(error) => report(index, None, Some(format!("the driver cannot open it: {}", describe(error)))),
            })
            .collect(),
    }
}

pub(super) fn free_bytes(opened: &CandleDevice) -> Option<u64> {
    let device = opened.as_cuda_device().ok()?;
    let (free_bytes, _) = device.cuda_stream().context().mem_get_info().ok()?;
    Some(free_bytes as u64)
}

/// How many devices the driver has: at least one, or what is missing.
fn device_count() -> Result<u32, String> {
    match CudaContext::device_count() {
        Ok(count) if count > 0 => Ok(count.unsigned_abs()),
        Ok(_) => Err("the driver has no devices; check nvidia-smi, and that the container was given a GPU".to_owned()),
        Err(error) => Err(format!(
            "the CUDA driver does not start: {}; check nvidia-smi, and that the container was given a GPU",
            describe(error)
        )),
    }
}

/// The driver's code. Its text would come from the driver, which may be the very thing that is missing.
fn describe(error: DriverError) -> String {
    format!("{:?}", error.0)
}
