//! The host's functions by raw numbers, in the order of [`script::NN`].
//!
//! Types, encodings and targets are taken modulo one more than there are: any other number would be the same wrong one to the
//! host, and end most scripts before they begin.

use script::{ARGUMENTS_LIMIT, NN};

/// How many there are, and one.
const TYPES: u32 = 8;
const ENCODINGS: u32 = 8;
const TARGETS: u32 = 4;

/// Calls a function without an answer; a script gets 0 for it.
macro_rules! silent {
    ($call:expr) => {{
        $call;
        0
    }};
}

/// A call with the numbers that it takes out of those that a script has for it.
type Call = fn([u32; ARGUMENTS_LIMIT]) -> u32;

pub(crate) const CALLS: [Call; NN.len()] = [
    |[dimensions, rank, ty, data, length]| tensor::new(dimensions, rank, ty % TYPES, data, length),
    |[tensor, result, ..]| silent!(tensor::dimensions(tensor, result)),
    |[tensor, ..]| tensor::ty(tensor),
    |[tensor, result, ..]| silent!(tensor::data(tensor, result)),
    |[tensor, ..]| silent!(tensor::drop(tensor)),
    |[parts, count, encoding, target, result]| {
        silent!(graph::load(parts, count, encoding % ENCODINGS, target % TARGETS, result))
    },
    |[name, length, result, ..]| silent!(graph::load_by_name(name, length, result)),
    |[graph, result, ..]| silent!(graph::init_execution_context(graph, result)),
    |[graph, ..]| silent!(graph::drop(graph)),
    |[context, inputs, count, result, ..]| silent!(context::compute(context, inputs, count, result)),
    |[context, ..]| silent!(context::drop(context)),
    |[error, ..]| error::code(error),
    |[error, result, ..]| silent!(error::data(error, result)),
    |[error, ..]| silent!(error::drop(error)),
];

// `safe`, here and below, because any number may be passed: a host that reads or writes outside the memory breaks what
// WebAssembly promises, and what it writes inside is what scripts are for.
mod tensor {
    #[link(wasm_import_module = "wasi:nn/tensor@0.2.0-rc-2024-10-28")]
    unsafe extern "C" {
        #[link_name = "[constructor]tensor"]
        pub(super) safe fn new(dimensions: u32, rank: u32, ty: u32, data: u32, length: u32) -> u32;
        #[link_name = "[method]tensor.dimensions"]
        pub(super) safe fn dimensions(tensor: u32, result: u32);
        #[link_name = "[method]tensor.ty"]
        pub(super) safe fn ty(tensor: u32) -> u32;
        #[link_name = "[method]tensor.data"]
        pub(super) safe fn data(tensor: u32, result: u32);
        #[link_name = "[resource-drop]tensor"]
        pub(super) safe fn drop(tensor: u32);
    }
}

mod graph {
    #[link(wasm_import_module = "wasi:nn/graph@0.2.0-rc-2024-10-28")]
    unsafe extern "C" {
        pub(super) safe fn load(parts: u32, count: u32, encoding: u32, target: u32, result: u32);
        #[link_name = "load-by-name"]
        pub(super) safe fn load_by_name(name: u32, length: u32, result: u32);
        #[link_name = "[method]graph.init-execution-context"]
        pub(super) safe fn init_execution_context(graph: u32, result: u32);
        #[link_name = "[resource-drop]graph"]
        pub(super) safe fn drop(graph: u32);
    }
}

mod context {
    #[link(wasm_import_module = "wasi:nn/inference@0.2.0-rc-2024-10-28")]
    unsafe extern "C" {
        #[link_name = "[method]graph-execution-context.compute"]
        pub(super) safe fn compute(context: u32, inputs: u32, count: u32, result: u32);
        #[link_name = "[resource-drop]graph-execution-context"]
        pub(super) safe fn drop(context: u32);
    }
}

mod error {
    #[link(wasm_import_module = "wasi:nn/errors@0.2.0-rc-2024-10-28")]
    unsafe extern "C" {
        #[link_name = "[method]error.code"]
        pub(super) safe fn code(error: u32) -> u32;
        #[link_name = "[method]error.data"]
        pub(super) safe fn data(error: u32, result: u32);
        #[link_name = "[resource-drop]error"]
        pub(super) safe fn drop(error: u32);
    }
}
