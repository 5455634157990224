//! A computation of a guest: inputs that wait for it, and outputs that it left.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime_wasi_nn::backend::{BackendError, BackendExecutionContext, Id, NamedTensor as GuestNamedTensor};
use wasmtime_wasi_nn::wit::Tensor as GuestTensor;
use wisp_core::{NamedTensor, TensorSpec};
use wisp_scheduler::{ScheduleError, SessionQueue};

use crate::share::{Share, Stock};
use crate::{AdapterError, Terms, convert, waiting};

/// What the crate calls an execution context. It holds at most one tensor for each input of the model.
pub(crate) struct SessionContext {
    queue: SessionQueue,
    terms: Terms,
    /// What tensors that are held are taken from.
    tensor_bytes: Arc<Stock>,
    /// Its part of the contexts that there may be.
    _place: Share,
    /// By their place in the signature.
    inputs: BTreeMap<usize, Held<NamedTensor>>,
    /// In the order of the signature; none until a `compute` without inputs of its own has succeeded.
    outputs: Option<Held<Vec<NamedTensor>>>,
}

/// Something with the memory that it takes.
struct Held<T> {
    value: T,
    _bytes: Share,
}

impl SessionContext {
    pub(crate) fn new(queue: SessionQueue, terms: Terms, tensor_bytes: Arc<Stock>, place: Share) -> Self {
        Self { queue, terms, tensor_bytes, _place: place, inputs: BTreeMap::new(), outputs: None }
    }

    fn keep_input(&mut self, id: &Id, tensor: &GuestTensor) -> Result<(), AdapterError> {
        let specs = &self.queue.info().signature.inputs;
        let place = place(id, specs.iter().map(|spec| spec.name.as_str()));
        let place = place.ok_or_else(|| AdapterError::NoInput { id: shown(id), expected: names(specs) })?;
        // The one that it takes the place of is given back first.
        self.inputs.remove(&place);
        let bytes = self.tensor_bytes.take(tensor.data.len())?;
        let value = convert::borrowed(&specs[place].name, tensor)?;
        self.inputs.insert(place, Held { value, _bytes: bytes });
        Ok(())
    }

    fn output(&self, id: &Id) -> Result<GuestTensor, AdapterError> {
        let outputs = &self.outputs.as_ref().ok_or(AdapterError::NotComputed)?.value;
        let place = place(id, outputs.iter().map(|output| output.name.as_str()));
        let expected = || names(&self.queue.info().signature.outputs);
        let place = place.ok_or_else(|| AdapterError::NoOutput { id: shown(id), expected: expected() })?;
        convert::returned(&outputs[place])
    }

    /// With inputs that were set one by one. They stay, so that a guest may change one of them and compute again.
    fn compute_kept(&mut self) -> Result<(), AdapterError> {
        // What a failed `compute` leaves must not look like its answer.
        self.outputs = None;
        let value = self.infer(self.inputs.values().map(|held| held.value.clone()).collect())?;
        let bytes = self.tensor_bytes.take(value.iter().map(|output| output.tensor.data().len()).sum())?;
        self.outputs = Some(Held { value, _bytes: bytes });
        Ok(())
    }

    /// With exactly these inputs.
    fn compute_given(&self, inputs: Vec<GuestNamedTensor>) -> Result<Vec<GuestNamedTensor>, AdapterError> {
        let inputs = inputs.into_iter().map(convert::owned).collect::<Result<_, _>>()?;
        let named = |output: NamedTensor| {
            let tensor = convert::returned(&output)?;
            Ok(GuestNamedTensor { name: output.name, tensor })
        };
        self.infer(inputs)?.into_iter().map(named).collect()
    }

    fn infer(&self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, AdapterError> {
        let Terms { caller, compute_limit, .. } = &self.terms;
        let model = || self.queue.model().to_owned();
        // Told a deadline, the queue would time it by a runtime, which this thread need not have: so it is kept here.
        let wait = self.queue.predicted_wait(caller);
        if wait > *compute_limit {
            return Err(ScheduleError::Overloaded { model: model(), wait }.into());
        }
        let inference = self.queue.infer(inputs, caller, None, None);
        match waiting::at_most(*compute_limit, inference) {
            Some(inferred) => Ok(inferred?.outputs),
            None => Err(ScheduleError::Deadline { model: model() }.into()),
        }
    }
}

impl BackendExecutionContext for SessionContext {
    fn set_input(&mut self, id: Id, tensor: &GuestTensor) -> Result<(), BackendError> {
        Ok(self.keep_input(&id, tensor)?)
    }

    fn get_output(&mut self, id: Id) -> Result<GuestTensor, BackendError> {
        Ok(self.output(&id)?)
    }

    fn compute(
        &mut self,
        inputs: Option<Vec<GuestNamedTensor>>,
    ) -> Result<Option<Vec<GuestNamedTensor>>, BackendError> {
        match inputs {
            Some(inputs) => Ok(Some(self.compute_given(inputs)?)),
            None => {
                self.compute_kept()?;
                Ok(None)
            }
        }
    }
}

/// Which of these names is meant.
fn place<'n>(id: &Id, mut names: impl ExactSizeIterator<Item = &'n str>) -> Option<usize> {
    match id {
        Id::Index(index) => Some(*index as usize).filter(|&index| index < names.len()),
        Id::Name(name) => names.position(|other| other == name),
    }
}

fn shown(id: &Id) -> String {
    match id {
        Id::Index(index) => index.to_string(),
        Id::Name(name) => format!("`{name}`"),
    }
}

fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<_> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
    names.join(", ")
}
