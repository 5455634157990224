//! `wisp:inference/state`: what a deployment keeps from one request to the next.

use wasmtime::component::Resource;

use crate::bindings::classifier::wisp::inference::state::Host;
use crate::bindings::wisp::inference::types::Error;
use crate::kept_tensors::StateError;
use crate::nn::NnTensor;
use crate::state::State;

impl Host for State {
    fn put(&mut self, key: String, tensor: Resource<NnTensor>) -> wasmtime::Result<Result<(), Error>> {
        let tensor = self.table.get(&tensor)?.tensor();
        let kept = match (self.account.grants.outside().kept_tensors.as_deref(), tensor) {
            (None, _) => Err(StateError::Off { deployment: self.account.deployment.to_string() }),
            (Some(_), Err(error)) => Err(error.into()),
            (Some(kept), Ok(tensor)) => kept.put(&key, &tensor),
        };
        Ok(kept.map_err(|error| self.wit_error(&error)))
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Option<Resource<NnTensor>>> {
        let kept = self.account.grants.outside().kept_tensors.as_deref();
        let found = kept.and_then(|kept| kept.get(&key));
        found.map(|tensor| self.push_tensor(tensor)).transpose()
    }

    fn evict(&mut self, key: String) -> wasmtime::Result<bool> {
        let kept = self.account.grants.outside().kept_tensors.as_deref();
        Ok(kept.is_some_and(|kept| kept.evict(&key)))
    }
}
