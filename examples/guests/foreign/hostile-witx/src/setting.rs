//! The right calls that come before a wrong one.

use crate::host::{self, Address, Errno, Handle, List, TensorRecord};

/// The shape of the model's input.
const SHAPE: [u32; 4] = [1, 224, 224, 3];

/// A right call failed, so that the wrong one behind it would show nothing.
pub(crate) struct Unready {
    /// The call that failed.
    pub(crate) call: &'static str,
    /// The host's answer.
    pub(crate) errno: Errno,
}

/// Nothing, or why the call `call` failed.
pub(crate) fn right(call: &'static str, errno: Errno) -> Result<(), Unready> {
    if errno == 0 { Ok(()) } else { Err(Unready { call, errno }) }
}

/// A handle, or why there is none.
fn handle(call: &'static str, ask: impl FnOnce(Address) -> Errno) -> Result<Handle, Unready> {
    let mut handle = Handle::MAX;
    right(call, ask(host::address_of(&mut handle)))?;
    Ok(handle)
}

/// The graph of that name.
pub(crate) fn graph(name: &str) -> Result<Handle, Unready> {
    handle("load_by_name", |graph| host::load_by_name(host::address(name.as_bytes()), name.len() as u32, graph))
}

/// A context of a graph.
pub(crate) fn context_of(graph: Handle) -> Result<Handle, Unready> {
    handle("init_execution_context", |context| host::init_execution_context(graph, context))
}

/// A context of the graph of that name.
pub(crate) fn context(name: &str) -> Result<Handle, Unready> {
    context_of(graph(name)?)
}

/// Sets a black picture as input `index`, and hands on the answer.
pub(crate) fn set_picture(context: Handle, index: u32) -> Errno {
    let pixels = vec![0_u8; SHAPE.iter().product::<u32>() as usize];
    set_tensor(context, index, &SHAPE, host::U8, &pixels)
}

/// Sets a tensor whose lists are as long as they say, and hands on the answer.
pub(crate) fn set_tensor(context: Handle, index: u32, shape: &[u32], ty: u32, data: &[u8]) -> Errno {
    set_record(context, index, TensorRecord { dimensions: List::of(shape), ty, data: List::of(data) })
}

/// Sets a tensor by whatever record, and hands on the answer.
pub(crate) fn set_record(context: Handle, index: u32, record: TensorRecord) -> Errno {
    let record = std::hint::black_box([record]);
    host::set_input(context, index, host::address(&record))
}

/// A context that has computed its input.
pub(crate) fn computed(name: &str) -> Result<Handle, Unready> {
    let context = context(name)?;
    right("set_input", set_picture(context, 0))?;
    right("compute", host::compute(context))?;
    Ok(context)
}
