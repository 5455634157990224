//! `wasi:nn/inference`: `compute`, which waits in the scheduler.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::Resource;
use wisp_core::NamedTensor;

use super::compute::ComputeError;
use super::{NnError, NnTensor};
use crate::ModelGrant;
use crate::bindings::wasi::nn::inference::{Host, HostGraphExecutionContext};
use crate::state::State;

/// A model ready to compute, as the guest holds it. It has no state of its own: contexts of one model share its session.
pub struct ExecutionContext {
    alias: Arc<str>,
    grant: ModelGrant,
}

impl ExecutionContext {
    pub(crate) fn new(alias: Arc<str>, grant: ModelGrant) -> Self {
        Self { alias, grant }
    }
}

impl State {
    /// Takes all inputs back from the guest, also when one of them is malformed: the call consumes them.
    fn take_inputs(
        &mut self,
        inputs: Vec<(String, Resource<NnTensor>)>,
    ) -> Result<Result<Vec<NamedTensor>, ComputeError>> {
        let taken = inputs.into_iter().map(|(name, tensor)| Ok((name, self.take_tensor(tensor)?)));
        let taken = taken.collect::<Result<Vec<_>>>()?;
        Ok(taken
            .into_iter()
            .map(|(name, tensor)| match tensor.into_tensor() {
                Ok(tensor) => Ok(NamedTensor::new(name, tensor)),
                Err(source) => Err(ComputeError::Malformed { name, source }),
            })
            .collect())
    }
}

impl Host for State {}

impl HostGraphExecutionContext for State {
    async fn compute(
        &mut self,
        context: Resource<ExecutionContext>,
        inputs: Vec<(String, Resource<NnTensor>)>,
    ) -> Result<Result<Vec<(String, Resource<NnTensor>)>, Resource<NnError>>> {
        let ExecutionContext { alias, grant } = self.table.get(&context)?;
        let (alias, grant) = (Arc::clone(alias), grant.clone());
        let computed = match self.take_inputs(inputs)? {
            Ok(inputs) => self.account.compute(&alias, &grant, inputs).await,
            Err(error) => Err(error),
        };
        match computed {
            Ok(inferred) => {
                let pushed = inferred.outputs.into_iter().map(|output| {
                    let tensor = self.push_tensor(output.tensor)?;
                    Ok((output.name, tensor))
                });
                Ok(Ok(pushed.collect::<Result<_>>()?))
            }
            Err(error) => Ok(Err(self.nn_error(&error)?)),
        }
    }

    fn drop(&mut self, context: Resource<ExecutionContext>) -> Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}
