//! A loaded ONNX graph: checks inputs, runs, and hands the outputs over without a copy.

use std::sync::{Arc, Mutex, PoisonError};

use ort::logging::LogLevel;
use ort::session::{NoSelectedOutputs, RunOptions, Session, SessionInputValue, SessionOutputs};
use wisp_core::{
    BackendError, BackendId, Batch, Cancel, Device, Layout, LoadRequest, NamedTensor, Placement, SessionInfo,
    Signature, TensorSpec,
};

use super::library::Library;
use super::{binding, failure, inspect, value};
use crate::heap::TrimsHeap;

pub(super) struct OrtSession {
    session: Session,
    info: SessionInfo,
    running: Arc<Running>,
    /// Whether inputs and outputs are bound, for sessions whose memory is not the host's.
    is_bound: bool,
    _trims_heap: TrimsHeap,
}

/// The inference in progress, as far as another thread may stop it.
struct Running {
    options: Mutex<Option<Arc<RunOptions<NoSelectedOutputs>>>>,
}

impl Cancel for Running {
    fn cancel(&self) {
        if let Some(options) = self.lock().as_ref()
            && let Err(error) = options.terminate()
        {
            tracing::warn!(%error, "ONNX Runtime did not take the request to stop an inference");
        }
    }
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<RunOptions<NoSelectedOutputs>>>> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fresh options for every run: a termination that arrives late hits options that nobody uses any more.
    fn begin(&self) -> Result<Arc<RunOptions<NoSelectedOutputs>>, BackendError> {
        let mut options = RunOptions::new().map_err(|error| failure::general(&error))?;
        // What fails is returned anyway, and a session that listened for placements would report every step of every run.
        options.set_log_level(LogLevel::Error).map_err(|error| failure::general(&error))?;
        let options = Arc::new(options);
        *self.lock() = Some(Arc::clone(&options));
        Ok(options)
    }

    /// Whether the run that just ended had been asked to stop is visible in its own error only.
    fn end(&self) {
        *self.lock() = None;
    }
}

impl OrtSession {
    pub(super) fn new(session: Session, library: &Library, request: &LoadRequest<'_>) -> Result<Self, BackendError> {
        request.check_promises(&inspect::promised(&session, request.signature)?)?;
        let info = SessionInfo {
            placement: Placement { backend: BackendId::Ort, device: request.device },
            precision: request.precision,
            signature: request.signature.clone(),
            layouts: vec![Layout::Padded],
            fused_outputs: request.fused_outputs.to_vec(),
            library_version: library.version.clone(),
        };
        let is_bound = request.device != Device::Cpu;
        let running = Arc::new(Running { options: Mutex::new(None) });
        Ok(Self { session, info, running, is_bound, _trims_heap: TrimsHeap })
    }

    fn infer(
        &mut self,
        inputs: Vec<(&str, SessionInputValue<'_>)>,
        options: &RunOptions<NoSelectedOutputs>,
    ) -> Result<Vec<NamedTensor>, BackendError> {
        let (session, signature) = (&mut self.session, &self.info.signature);
        let failed = |error: ort::Error| failure::of_run(&error, self.info.placement.device);
        if self.is_bound {
            let mut binding = session.create_binding().map_err(failed)?;
            let outputs = binding::run(session, &mut binding, &inputs, signature, options).map_err(failed)?;
            take(outputs, signature)
        } else {
            take(session.run_with_options(inputs, options).map_err(failed)?, signature)
        }
    }
}

impl wisp_core::Session for OrtSession {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else {
            return Err(BackendError::Unsupported {
                backend: BackendId::Ort,
                what: "packed rows; an ONNX graph takes padded arrays".to_owned(),
            });
        };
        self.info.signature.check_inputs(inputs)?;
        let values = inputs
            .iter()
            .map(|input| Ok((input.name.as_str(), value::borrow(&input.tensor)?)))
            .collect::<Result<Vec<_>, BackendError>>()?;

        let options = self.running.begin()?;
        let result = self.infer(values, &options);
        self.running.end();
        result
    }

    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        Some(self.running.clone())
    }
}

/// The outputs of the signature, in its order.
fn take(mut outputs: SessionOutputs<'_>, signature: &Signature) -> Result<Vec<NamedTensor>, BackendError> {
    let take = |spec: &TensorSpec| {
        let value = outputs.remove(&spec.name).ok_or_else(|| BackendError::Run {
            backend: BackendId::Ort,
            reason: format!("output `{}` is missing from the result", spec.name),
        })?;
        Ok(NamedTensor::new(&*spec.name, value::into_tensor(value)?))
    };
    signature.outputs.iter().map(take).collect()
}

#[cfg(test)]
mod tests;
