//! Candle: BERT-class encoders from safetensors on the CPU, with no native library.

mod bert;
mod rows;
mod session;

use candle_core::{DType, Device as CandleDevice};
use candle_nn::VarBuilder;
use wisp_core::{
    Backend, BackendError, BackendId, BackendReport, Device, DeviceReport, LoadRequest, ModelFormat, Precision, Session,
};

use bert::{Bert, BertConfig};
use session::CandleSession;

/// The version of `candle-core` this crate is built against.
const CANDLE_VERSION: &str = "0.11";

/// The backend `candle`, which is always there.
pub(crate) struct CandleBackend;

impl Backend for CandleBackend {
    fn id(&self) -> BackendId {
        BackendId::Candle
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Safetensors]
    }

    fn probe(&self) -> BackendReport {
        BackendReport {
            backend: BackendId::Candle,
            version: Some(CANDLE_VERSION.to_owned()),
            library: None,
            devices: vec![DeviceReport {
                device: Device::Cpu,
                name: None,
                missing: None,
                precisions: vec![Precision::F32],
            }],
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Session>, BackendError> {
        refuse_unsupported(request)?;
        let config = read_config(request)?;
        let weights = map_weights(request)?;
        let model = Bert::load(&config, &weights).map_err(|error| model_error(request, error.to_string()))?;
        Ok(Box::new(CandleSession::new(model, &config, request)?))
    }
}

fn refuse_unsupported(request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let backend = BackendId::Candle;
    if request.device != Device::Cpu {
        let reason = "this build of Candle runs on the CPU only; place the model on candle:cpu".to_owned();
        return Err(BackendError::Device { backend, device: request.device, reason });
    }
    match (request.format, request.precision) {
        (ModelFormat::Safetensors, Precision::F32) => Ok(()),
        (ModelFormat::Safetensors, precision) => {
            Err(BackendError::Unsupported { backend, what: format!("precision {precision} on cpu; use f32") })
        }
        (format, _) => {
            Err(BackendError::Unsupported { backend, what: format!("format {format}; it reads safetensors") })
        }
    }
}

fn read_config(request: &LoadRequest<'_>) -> Result<BertConfig, BackendError> {
    let path = request
        .architecture
        .ok_or_else(|| model_error(request, "weights alone do not say what they are; add config.json".to_owned()))?;
    let broken =
        |reason: String| BackendError::Model { model: request.model.to_owned(), file: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    let config: BertConfig = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    config.check().map_err(broken)?;
    Ok(config)
}

/// Opens the weights through a memory map, so that tensors are read from the page cache as they are converted.
#[expect(unsafe_code, reason = "a memory map of a file is only as immutable as the file")]
fn map_weights(request: &LoadRequest<'_>) -> Result<VarBuilder<'static>, BackendError> {
    // SAFETY: the map is read while loading only: every tensor is copied into memory of its own, and the map is dropped
    // with the builder. The file lies in the cache, where files are replaced by renaming and never written in place; one
    // that is truncated by somebody else in that window could raise SIGBUS, as with every user of mmap.
    unsafe { VarBuilder::from_mmaped_safetensors(&[request.file], DType::F32, &CandleDevice::Cpu) }
        .map_err(|error| model_error(request, error.to_string()))
}

fn model_error(request: &LoadRequest<'_>, reason: String) -> BackendError {
    BackendError::Model { model: request.model.to_owned(), file: request.file.to_owned(), reason }
}

/// A failure while computing.
fn run_error(error: &candle_core::Error) -> BackendError {
    BackendError::Run { backend: BackendId::Candle, reason: error.to_string() }
}
