//! `wasi:nn/inference`: `compute`, which waits in the scheduler.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::component::Resource;
use wisp_core::{ErrorKind, Kinded, NamedTensor, TensorError};
use wisp_scheduler::{Inferred, ScheduleError};

use super::{NnError, NnTensor};
use crate::GrantedModel;
use crate::bindings::wasi::nn::inference::{Host, HostGraphExecutionContext};
use crate::state::State;

/// A model ready to compute, as the guest holds it. It has no state of its own: contexts of one model share its session.
pub struct ExecutionContext {
    model: Arc<GrantedModel>,
}

impl ExecutionContext {
    pub(crate) fn new(model: Arc<GrantedModel>) -> Self {
        Self { model }
    }
}

/// Why a `compute` failed.
#[derive(Debug, thiserror::Error)]
enum ComputeError {
    /// A tensor's bytes do not fit its shape.
    #[error("input `{name}`: {source}")]
    Malformed { name: String, source: TensorError },
    /// The scheduler or the session failed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl Kinded for ComputeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { source, .. } => source.kind(),
            Self::Schedule(error) => error.kind(),
        }
    }
}

impl State {
    /// Takes all inputs back from the guest, also when one of them is malformed: the call consumes them.
    fn take_inputs(
        &mut self,
        inputs: Vec<(String, Resource<NnTensor>)>,
    ) -> wasmtime::Result<Result<Vec<NamedTensor>, ComputeError>> {
        let taken = inputs.into_iter().map(|(name, tensor)| Ok((name, self.take_tensor(tensor)?)));
        let taken = taken.collect::<wasmtime::Result<Vec<_>>>()?;
        Ok(taken
            .into_iter()
            .map(|(name, tensor)| match tensor.into_tensor() {
                Ok(tensor) => Ok(NamedTensor::new(name, tensor)),
                Err(source) => Err(ComputeError::Malformed { name, source }),
            })
            .collect())
    }

    async fn infer(&mut self, model: &Arc<GrantedModel>, inputs: Vec<NamedTensor>) -> Result<Inferred, ComputeError> {
        let started_at = Instant::now();
        self.waits_since = Some(started_at);
        let announced = self.take_announced(model);
        let inferred = model.queue.infer(inputs, &self.caller, Some(self.deadline), announced).await;
        self.waits_since = None;
        self.times.host += started_at.elapsed();
        if let Err(ScheduleError::Overloaded { wait, .. }) = &inferred {
            self.retry_after = Some(*wait);
        }
        let inferred = inferred?;
        self.times.stages += inferred.times;
        self.share += inferred.share;
        self.computed_by = Some(Arc::clone(model));
        Ok(inferred)
    }
}

impl Host for State {}

impl HostGraphExecutionContext for State {
    async fn compute(
        &mut self,
        context: Resource<ExecutionContext>,
        inputs: Vec<(String, Resource<NnTensor>)>,
    ) -> wasmtime::Result<Result<Vec<(String, Resource<NnTensor>)>, Resource<NnError>>> {
        let model = Arc::clone(&self.table.get(&context)?.model);
        let computed = match self.take_inputs(inputs)? {
            Ok(inputs) => self.infer(&model, inputs).await,
            Err(error) => Err(error),
        };
        match computed {
            Ok(inferred) => {
                let pushed = inferred.outputs.into_iter().map(|output| {
                    let tensor = self.push_tensor(output.tensor)?;
                    Ok((output.name, tensor))
                });
                Ok(Ok(pushed.collect::<wasmtime::Result<_>>()?))
            }
            Err(error) => Ok(Err(self.nn_error(&error)?)),
        }
    }

    fn drop(&mut self, context: Resource<ExecutionContext>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}
