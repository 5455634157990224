//! The functions of `wasi_ephemeral_nn`, over validated memory.

use bytes::Bytes;
use wasmtime::{Caller, Extern, Memory, Result};
use wisp_core::aligned::AlignedBuffer;
use wisp_core::{Kinded, NamedTensor, Tensor};

use super::handles::{Graph, Handles};
use super::numbers::{Errno, encoding, target};
use super::{answer, memory};
use crate::core_state::CoreState;
use crate::error::CallError;
use crate::loading::ModelBytes;
use crate::nn::{ComputeError, GraphError, name_of};

/// Failures of one run that go to the log: a guest that fails in a loop must not fill it.
const TOLD_LIMIT: u32 = 16;

/// A call in progress: the guest's memory and everything it holds.
pub(crate) struct Call<'a> {
    caller: Caller<'a, CoreState>,
    memory: Memory,
}

impl<'a> Call<'a> {
    /// # Errors
    /// A module without a memory cannot be answered at all.
    pub(crate) fn new(mut caller: Caller<'a, CoreState>) -> Result<Self> {
        match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Ok(Self { caller, memory }),
            _ => {
                let deployment = caller.data().account.deployment.to_string();
                let reason = "it calls wasi_ephemeral_nn and exports no memory named `memory`".to_owned();
                Err(CallError::Trap { deployment, reason }.into())
            }
        }
    }

    pub(crate) async fn load(mut self, parts: (u32, u32), of: u32, on: u32, graph: u32) -> Result<u32> {
        let loaded = self.try_load(parts, of, on, graph).await;
        answer(loaded)
    }

    async fn try_load(&mut self, parts: (u32, u32), of: u32, on: u32, graph: u32) -> Result<(), Errno> {
        let (Some(encoding), Some(target)) = (encoding(of), target(on)) else { return Err(Errno::InvalidEncoding) };
        let (bytes, state) = self.split();
        // Copied out first: while the guest's fiber waits, its memory must not be borrowed.
        let parts = memory::parts(bytes, parts)?;
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total > state.account.limits.hostcall_bytes {
            state.refuse(&format!(
                "the guest brought a model of {total} bytes; at most {} pass in one call (limits.hostcall_bytes)",
                state.account.limits.hostcall_bytes
            ));
            return Err(Errno::TooLarge);
        }
        let parts = parts.into_iter().map(Bytes::copy_from_slice).collect();
        let loaded = state.account.load(ModelBytes { parts, encoding, target }).await;
        let found = loaded.map(|grant| Graph { alias: name_of(encoding).into(), grant });
        self.keep_graph(found, graph)
    }

    pub(crate) fn load_by_name(mut self, name: (u32, u32), graph: u32) -> Result<u32> {
        let named = self.try_load_by_name(name, graph);
        answer(named)
    }

    fn try_load_by_name(&mut self, name: (u32, u32), graph: u32) -> Result<(), Errno> {
        let (bytes, state) = self.split();
        let name = memory::text(bytes, name)?;
        let found = state.account.granted(name).map(|grant| Graph { alias: name.into(), grant });
        self.keep_graph(found, graph)
    }

    fn keep_graph(&mut self, found: Result<Graph, GraphError>, at: u32) -> Result<(), Errno> {
        let (bytes, state) = self.split();
        let graph = found.map_err(|error| match &error {
            GraphError::Load(load) if load.is_encoding => state.told(&error, Errno::InvalidEncoding),
            GraphError::FromBytes { .. } => state.told(&error, Errno::UnsupportedOperation),
            _ => state.told(&error, Errno::of(&error)),
        })?;
        // Before a number is given away that the guest would never learn.
        memory::slice(bytes, (at, 4))?;
        let number = state.handles.add_graph(graph)?;
        memory::write_u32(bytes, at, number)
    }

    pub(crate) fn init_execution_context(mut self, graph: u32, context: u32) -> Result<u32> {
        let (bytes, state) = self.split();
        let made = memory::slice(bytes, (context, 4)).map(drop).and_then(|()| {
            let graph = state.handles.graph(graph)?.clone();
            let number = state.handles.add_context(graph)?;
            memory::write_u32(bytes, context, number)
        });
        answer(made)
    }

    pub(crate) fn set_input(mut self, context: u32, index: u32, tensor: u32) -> Result<u32> {
        let set = self.try_set_input(context, index, tensor);
        answer(set)
    }

    fn try_set_input(&mut self, context: u32, index: u32, tensor: u32) -> Result<(), Errno> {
        let (bytes, state) = self.split();
        let record = memory::tensor(bytes, tensor)?;
        let dimensions = memory::dimensions(bytes, record.dimensions)?;
        let data = memory::slice(bytes, record.data)?;
        let data_type = state.tensor_types.data_type(record.data_type).ok_or(Errno::InvalidArgument)?;
        let CoreState { account, handles, .. } = state;
        let context = handles.context(context)?;
        let place = index as usize;
        let signature = &context.graph.grant.model.queue.info().signature;
        let name = signature.inputs.get(place).ok_or(Errno::InvalidArgument)?.name.clone();
        // The one that it takes the place of is given back first.
        if let Some(old) = context.inputs.remove(&place) {
            account.release_tensor(old.tensor.data().len());
        }
        account.reserve_tensor(data.len()).map_err(|_| Errno::TooLarge)?;
        account.copies.took_in(data.len());
        let shape: Vec<usize> = dimensions.iter().map(|&axis| axis as usize).collect();
        let length = data.len();
        match Tensor::new(data_type, &shape, AlignedBuffer::copy_of(data).freeze()) {
            Ok(tensor) => {
                context.inputs.insert(place, NamedTensor::new(name, tensor));
                Ok(())
            }
            Err(source) => {
                account.release_tensor(length);
                let error = ComputeError::Malformed { name, source };
                Err(state.told(&error, Errno::of(&error)))
            }
        }
    }

    pub(crate) async fn compute(mut self, context: u32) -> Result<u32> {
        let state = self.caller.data_mut();
        let computed = state.compute(context).await;
        answer(computed)
    }

    pub(crate) fn get_output(mut self, context: u32, index: u32, buffer: (u32, u32), written: u32) -> Result<u32> {
        let (bytes, state) = self.split();
        let got = get_output(bytes, &mut state.handles, context, index, buffer, written);
        if let Ok(length) = got {
            state.account.copies.gave_out(length);
        }
        answer(got.map(drop))
    }

    /// The end of an answer in steps: its outputs are given back.
    pub(crate) fn finish_single(mut self, context: u32) -> Result<u32> {
        let CoreState { account, handles, .. } = self.caller.data_mut();
        let finished = handles.context(context).map(|context| {
            let outputs = std::mem::take(&mut context.outputs);
            outputs.iter().for_each(|output| account.release_tensor(output.tensor.data().len()));
        });
        answer(finished)
    }

    pub(crate) fn unload(mut self, graph: u32) -> Result<u32> {
        answer(self.caller.data_mut().handles.remove_graph(graph))
    }

    pub(crate) fn finalize_execution_context(mut self, context: u32) -> Result<u32> {
        let CoreState { account, handles, .. } = self.caller.data_mut();
        let removed = handles.remove_context(context);
        answer(removed.map(|context| account.release_tensor(context.bytes())))
    }

    fn split(&mut self) -> (&mut [u8], &mut CoreState) {
        self.memory.data_and_store_mut(&mut self.caller)
    }
}

impl CoreState {
    async fn compute(&mut self, context: u32) -> Result<(), Errno> {
        let held = self.handles.context(context)?;
        let (graph, inputs) = (held.graph.clone(), held.inputs.values().cloned().collect());
        let old = std::mem::take(&mut held.outputs);
        old.iter().for_each(|output| self.account.release_tensor(output.tensor.data().len()));
        let computed = self.account.compute(&graph.alias, &graph.grant, inputs).await;
        let outputs = computed.map_err(|error| self.told(&error, Errno::of(&error)))?.outputs;
        let bytes = outputs.iter().map(|output| output.tensor.data().len()).sum();
        if let Err(error) = self.account.reserve_tensor(bytes) {
            return Err(self.told(&error, Errno::TooLarge));
        }
        self.handles.context(context)?.outputs = outputs;
        Ok(())
    }

    /// Notes a failure: the interface has numbers alone, so that the reason goes to the log.
    fn told(&mut self, error: &(impl Kinded + ToString), errno: Errno) -> Errno {
        let message = error.to_string();
        self.account.note_failure(error.kind(), &message);
        self.refuse(&message);
        errno
    }

    fn refuse(&mut self, reason: &str) {
        self.told = self.told.saturating_add(1);
        if self.told > TOLD_LIMIT {
            return;
        }
        tracing::warn!(target: "wisp::guest", deployment = &*self.account.deployment, "wasi_ephemeral_nn: {reason}");
    }
}

fn get_output(
    memory: &mut [u8],
    handles: &mut Handles,
    context: u32,
    index: u32,
    buffer: (u32, u32),
    written: u32,
) -> Result<usize, Errno> {
    let context = handles.context(context)?;
    let output = context.outputs.get(index as usize).ok_or(Errno::InvalidArgument)?;
    let data = output.tensor.data();
    let (pointer, room) = buffer;
    // Longer outputs than a guest can address do not fit its buffer either.
    let length = u32::try_from(data.len()).ok().filter(|&length| length <= room).ok_or(Errno::TooLarge)?;
    memory::slice(memory, buffer)?;
    memory::write_u32(memory, written, length)?;
    memory::slice_mut(memory, (pointer, length))?.copy_from_slice(data);
    Ok(data.len())
}
