//! Candle: encoders of BERT's kind from safetensors, on the CPU and, in builds with the feature `cuda`, on NVIDIA GPUs.
//!
//! `candle/config.rs` reads `config.json`, of which each architecture (`bert.rs`, `roberta.rs`, `distilbert.rs`) knows its own
//! keys and tensor names. `encoder.rs` computes hidden states of packed rows, `head.rs` logits from them, and `session.rs` is
//! what the rest of Wisp sees. Precisions: `arithmetic.rs`.

mod activation;
mod arithmetic;
mod attention;
mod bert;
mod config;
mod device;
mod distilbert;
mod encoder;
mod head;
mod linear;
mod outputs;
mod promises;
mod roberta;
mod room;
mod rows;
mod session;
mod weights;

use wisp_core::{
    Backend, BackendError, BackendId, BackendReport, Device, LoadRequest, ModelFormat, Precision, Session,
};

use arithmetic::Arithmetic;
use config::EncoderConfig;
use room::Room;
use session::CandleSession;
use weights::Weights;

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
            devices: device::reports(),
        }
    }

    fn accelerates(&self, device: Device, precision: Precision) -> bool {
        // On the CPU, half precisions are widened on the way: half the memory, and no time gained.
        device != Device::Cpu || precision == Precision::F32
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Session>, BackendError> {
        if request.format != ModelFormat::Safetensors {
            let what = format!("format {}; it reads safetensors", request.format);
            return Err(BackendError::Unsupported { backend: BackendId::Candle, what });
        }
        let device = device::open(request.device)?;
        let arithmetic = Arithmetic::of(request.device, request.precision)?;
        let config = read_config(request)?;
        let weights = Weights::open(request, arithmetic, &device)?;
        let room = Room::for_weights(request, &weights, &device)?;
        Ok(Box::new(CandleSession::load(config, &weights, request, device.clone(), room)?))
    }
}

fn read_config(request: &LoadRequest<'_>) -> Result<EncoderConfig, BackendError> {
    let path = request
        .architecture
        .ok_or_else(|| model_error(request, "weights alone do not say what they are; add config.json".to_owned()))?;
    let broken =
        |reason: String| BackendError::Model { model: request.model.to_owned(), file: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    EncoderConfig::parse(&text).map_err(broken)
}

fn model_error(request: &LoadRequest<'_>, reason: String) -> BackendError {
    BackendError::Model { model: request.model.to_owned(), file: request.file.to_owned(), reason }
}

/// A failure while loading `what`.
fn load_error(request: &LoadRequest<'_>, what: &str, error: &candle_core::Error) -> BackendError {
    match device::is_out_of_memory(error) {
        true => out_of_memory(request.device, error),
        false => model_error(request, format!("{what}: {error}")),
    }
}

/// A failure while computing.
fn run_error(device: Device, error: &candle_core::Error) -> BackendError {
    match device::is_out_of_memory(error) {
        true => out_of_memory(device, error),
        false => BackendError::Run { backend: BackendId::Candle, reason: error.to_string() },
    }
}

fn out_of_memory(device: Device, error: &candle_core::Error) -> BackendError {
    BackendError::OutOfMemory { backend: BackendId::Candle, device, reason: error.to_string() }
}
