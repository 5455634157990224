//! Stands in for CUDA in builds without it.

use candle_core::Device as CandleDevice;
use wisp_core::{BackendError, Device, DeviceReport};

use super::refuse;

pub(super) fn open(index: u32) -> Result<CandleDevice, BackendError> {
    let reason = "this build of Candle has no CUDA; make one with runtime/backends/cuda-build.sh (docs/cuda.md), \
        or place the model on candle:cpu";
    Err(refuse(Device::Gpu(index), reason.to_owned()))
}

pub(super) fn reports() -> Vec<DeviceReport> {
    Vec::new()
}

pub(super) fn free_bytes(_: &CandleDevice) -> Option<u64> {
    None
}
