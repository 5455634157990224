//! A compiled model: checks inputs, runs one infer request, and copies the outputs out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openvino::{CompiledModel, Core, InferRequest, InferenceError, InferenceErrorKind};
use wisp_core::{
    BackendError, BackendId, Batch, Cancel, Device, Layout, LoadRequest, NamedTensor, Placement, Ragged, Session,
    SessionInfo, StaticShape,
};

use super::compile::{Compiled, CompiledModels, Recipe};
use super::library::Library;
use super::{message, run_error, shapes, value};
use crate::heap::TrimsHeap;

/// How often a running inference looks whether it was cancelled. One that ends is noticed at once.
const CANCEL_POLL_MS: i64 = 2;

pub(super) struct OpenVinoSession {
    info: SessionInfo,
    ragged: Option<Ragged>,
    /// One a static shape, smallest first, or a single one for free axes.
    runners: Vec<Runner>,
    is_cancelled: Arc<Cancelled>,
    recipe: Recipe,
    /// Dropped last: it keeps the plugins of requests and models open.
    core: Core,
    _trims_heap: TrimsHeap,
}

/// A compiled model for one shape, or for all of them.
struct Runner {
    shape: Option<StaticShape>,
    /// How long it takes to compile.
    took: Duration,
    /// `None` after an inference that did not end well, until the next one compiles the model again.
    graph: Option<Graph>,
}

/// A compiled model with its one infer request; the request is dropped before the model.
struct Graph {
    request: InferRequest,
    _model: CompiledModel,
}

/// Set by whoever no longer wants the inference, and cleared when the next one begins.
struct Cancelled(AtomicBool);

impl Cancel for Cancelled {
    fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl OpenVinoSession {
    pub(super) fn new(
        compiled: CompiledModels,
        library: &Library,
        request: &LoadRequest<'_>,
    ) -> Result<Self, BackendError> {
        let CompiledModels { core, recipe, models, device } = compiled;
        let info = SessionInfo {
            placement: Placement { backend: BackendId::OpenVino, device },
            precision: request.precision,
            signature: request.signature.clone(),
            layouts: vec![Layout::Padded],
            fused_outputs: request.fused_outputs.to_vec(),
            library_version: library.version.clone(),
        };
        Ok(Self {
            info,
            ragged: request.ragged.cloned(),
            runners: models.into_iter().map(Runner::new).collect::<Result<_, _>>()?,
            is_cancelled: Arc::new(Cancelled(AtomicBool::new(false))),
            recipe,
            core,
            _trims_heap: TrimsHeap,
        })
    }

    /// Which compiled model takes these inputs, and what they measure.
    fn choose(&self, inputs: &[NamedTensor]) -> Result<(usize, StaticShape), BackendError> {
        let wanted = shapes::measured(inputs, self.ragged.as_ref());
        let shapes: Vec<StaticShape> = self.runners.iter().filter_map(|runner| runner.shape).collect();
        let index = if shapes.is_empty() { 0 } else { shapes::smallest(&shapes, wanted)? };
        Ok((index, wanted))
    }

    fn device(&self) -> Device {
        self.info.placement.device
    }
}

impl Session for OpenVinoSession {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else {
            return Err(BackendError::Unsupported {
                backend: BackendId::OpenVino,
                what: "packed rows; a compiled model takes padded arrays".to_owned(),
            });
        };
        self.info.signature.check_inputs(inputs)?;
        if let Some(ragged) = &self.ragged {
            ragged.check(inputs).map_err(BackendError::Input)?;
        }
        let (index, wanted) = self.choose(inputs)?;
        let (device, ragged) = (self.device(), self.ragged.as_ref());
        let runner = &mut self.runners[index];
        let shape = runner.shape;
        let inputs = match shape {
            Some(shape) => shapes::filled(inputs, &self.info.signature, shape, ragged)?,
            None => inputs.into(),
        };
        self.is_cancelled.0.store(false, Ordering::Release);
        let graph = match runner.graph.take() {
            Some(graph) => graph,
            None => Graph::new(self.recipe.compile(&mut self.core, shape)?.model)?,
        };
        let graph = runner.infer(graph, &inputs, &self.is_cancelled.0).map_err(|error| failure(&error, device))?;
        let take = |spec: &wisp_core::TensorSpec| {
            let output = graph.request.get_tensor(&spec.name).map_err(|error| run_error(&error))?;
            let output = NamedTensor::new(&*spec.name, value::from_openvino(&output)?);
            match shape {
                Some(shape) => Ok(shapes::cut(output, spec, shape, wanted)?),
                None => Ok(output),
            }
        };
        self.info.signature.outputs.iter().map(take).collect()
    }

    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        Some(self.is_cancelled.clone())
    }
}

/// What went wrong between the inputs and the outputs.
enum InferFailure {
    Input(BackendError),
    Library(InferenceError),
}

impl Graph {
    fn new(mut model: CompiledModel) -> Result<Self, BackendError> {
        let request = model.create_infer_request().map_err(|error| run_error(&error))?;
        Ok(Self { request, _model: model })
    }
}

impl Runner {
    fn new(compiled: Compiled) -> Result<Self, BackendError> {
        let Compiled { shape, model, took } = compiled;
        Ok(Self { shape, took, graph: Some(Graph::new(model)?) })
    }

    /// Runs one inference and returns the graph that holds its outputs.
    ///
    /// A graph whose inference was cancelled or failed is not used again. With free axes, each of its nodes remembers the
    /// shape that it was prepared for, and nodes that were not reached remember another one: later answers then have the
    /// rows of earlier callers.
    fn infer(
        &mut self,
        mut graph: Graph,
        inputs: &[NamedTensor],
        is_cancelled: &AtomicBool,
    ) -> Result<&Graph, InferFailure> {
        infer(&mut graph.request, inputs, is_cancelled, self.took)?;
        Ok(self.graph.insert(graph))
    }
}

/// Runs in the background and waits, so that this thread can stop it: only the owner of a request may touch it.
///
/// As a cancelled graph has to be compiled again, an inference is stopped only once it has taken longer than that takes.
fn infer(
    request: &mut InferRequest,
    inputs: &[NamedTensor],
    is_cancelled: &AtomicBool,
    cancel_after: Duration,
) -> Result<(), InferFailure> {
    for input in inputs {
        let tensor = value::to_openvino(&input.tensor).map_err(InferFailure::Input)?;
        request.set_tensor(&input.name, &tensor).map_err(InferFailure::Library)?;
    }
    let begun_at = Instant::now();
    request.infer_async().map_err(InferFailure::Library)?;
    loop {
        match request.wait(CANCEL_POLL_MS) {
            Err(error) if error.kind == InferenceErrorKind::ResultNotReady => {}
            result => return result.map_err(InferFailure::Library),
        }
        if is_cancelled.load(Ordering::Acquire) && begun_at.elapsed() >= cancel_after {
            request.cancel().map_err(InferFailure::Library)?;
        }
    }
}

fn failure(failure: &InferFailure, device: Device) -> BackendError {
    let error = match failure {
        InferFailure::Input(error) => return BackendError::Input(error.to_string()),
        InferFailure::Library(error) => error,
    };
    let reason = message(error);
    match error.kind {
        InferenceErrorKind::InferCancelled => BackendError::Cancelled,
        InferenceErrorKind::ParameterMismatch => BackendError::Input(reason),
        _ if value::is_out_of_memory(&reason) => {
            BackendError::OutOfMemory { backend: BackendId::OpenVino, device, reason }
        }
        _ => run_error(error),
    }
}
