//! The devices that Candle computes on: which there are, and how one is opened.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "device/no_cuda.rs"]
mod cuda;

use candle_core::Device as CandleDevice;
use wisp_core::{BackendError, BackendId, Device, DeviceReport};

use super::arithmetic::precisions;

/// Opens exactly `device`.
///
/// # Errors
/// [`BackendError::Device`], naming what is missing.
pub(super) fn open(device: Device) -> Result<CandleDevice, BackendError> {
    match device {
        Device::Cpu => Ok(CandleDevice::Cpu),
        Device::Gpu(index) => cuda::open(index),
        Device::Npu | Device::Combined(_) => {
            let reason = "Candle runs on cpu and, in builds with CUDA, on gpu:N; place the model on candle:cpu";
            Err(refuse(device, reason.to_owned()))
        }
    }
}

/// Every device of this build and machine.
pub(super) fn reports() -> Vec<DeviceReport> {
    let precisions = precisions(Device::Cpu).to_vec();
    let cpu = DeviceReport { device: Device::Cpu, name: None, missing: None, precisions };
    std::iter::once(cpu).chain(cuda::reports()).collect()
}

/// Free memory of the device; `None` for the CPU and for drivers that do not say.
pub(super) fn free_bytes(opened: &CandleDevice) -> Option<u64> {
    cuda::free_bytes(opened)
}

/// Whether a failure of Candle means that the device's memory is full.
pub(super) fn is_out_of_memory(error: &candle_core::Error) -> bool {
    // Candle keeps CUDA's errors as text; these are the codes of the driver and of cuBLAS.
    let text = error.to_string();
    ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"].iter().any(|code| text.contains(code))
}

fn refuse(device: Device, reason: String) -> BackendError {
    BackendError::Device { backend: BackendId::Candle, device, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_a_full_device_are_known() {
        for (text, is_full) in [
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", true),
            ("CublasError(CUBLAS_STATUS_ALLOC_FAILED)", true),
            ("DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")", false),
        ] {
            assert_eq!(is_out_of_memory(&candle_core::Error::Cuda(text.into())), is_full, "{text}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_make_one() {
        let error = open(Device::Gpu(0)).expect_err("has no CUDA").to_string();
        assert!(error.contains("gpu:0") && error.contains("cuda-build.sh"), "{error}");
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_device_that_is_absent_is_an_error_with_the_count() {
        let error = open(Device::Gpu(4096)).expect_err("no machine has as many").to_string();
        assert!(error.contains("gpu:4096") && (error.contains("driver") || error.contains("devices")), "{error}");
    }
}
