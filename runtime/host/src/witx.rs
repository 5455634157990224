//! The host side of `wasi_ephemeral_nn`, the interface of core modules that the proposal had before components, and that
//! most published guests still use.
//!
//! It is linked asynchronously, like the interface of components: `compute` and `load` park the guest's fiber. A guest's
//! pointers are checked against its memory before anything is read or written, and handles can be given back. On top come
//! the functions that WasmEdge added, because its crate for guests links them. Source of the numbers: `wasi-nn.witx` of the
//! proposal, and the guest crate of WasmEdge.

mod calls;
mod handles;
mod memory;
mod numbers;

use wasmtime::{Caller, Linker, Result};

pub(crate) use handles::Handles;
pub use numbers::TensorTypes;

use crate::core_state::CoreState;
use calls::Call;
use numbers::Errno;

/// The module that guests import from.
pub(crate) const MODULE: &str = "wasi_ephemeral_nn";

/// Links every function. Pointers and lengths are `i32`, as in the canonical layout of WITX.
pub(crate) fn add_to_linker(linker: &mut Linker<CoreState>) -> Result<()> {
    add_graphs(linker)?;
    add_contexts(linker)?;
    add_extensions(linker)
}

fn add_graphs(linker: &mut Linker<CoreState>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "load",
        |caller: Caller<'_, CoreState>, (parts, count, encoding, target, graph): (u32, u32, u32, u32, u32)| {
            Box::new(async move { Call::new(caller)?.load((parts, count), encoding, target, graph).await })
        },
    )?;
    linker.func_wrap(MODULE, "load_by_name", |caller: Caller<'_, CoreState>, name: u32, length: u32, graph: u32| {
        Call::new(caller)?.load_by_name((name, length), graph)
    })?;
    linker.func_wrap(MODULE, "init_execution_context", |caller: Caller<'_, CoreState>, graph: u32, context: u32| {
        Call::new(caller)?.init_execution_context(graph, context)
    })?;
    Ok(())
}

fn add_contexts(linker: &mut Linker<CoreState>) -> Result<()> {
    linker.func_wrap(MODULE, "set_input", |caller: Caller<'_, CoreState>, context: u32, index: u32, tensor: u32| {
        Call::new(caller)?.set_input(context, index, tensor)
    })?;
    for name in ["compute", "compute_single"] {
        linker.func_wrap_async(MODULE, name, |caller: Caller<'_, CoreState>, (context,): (u32,)| {
            Box::new(async move { Call::new(caller)?.compute(context).await })
        })?;
    }
    for name in ["get_output", "get_output_single"] {
        linker.func_wrap(
            MODULE,
            name,
            |caller: Caller<'_, CoreState>, context: u32, index: u32, buffer: u32, length: u32, written: u32| {
                Call::new(caller)?.get_output(context, index, (buffer, length), written)
            },
        )?;
    }
    Ok(())
}

/// What WasmEdge added. A "single" step of a model that streams is, for models that answer at once, the whole answer.
fn add_extensions(linker: &mut Linker<CoreState>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "load_by_name_with_config",
        |caller: Caller<'_, CoreState>, name: u32, length: u32, _config: u32, _config_length: u32, graph: u32| {
            // Settings are the host's business here: what runs where is granted, not asked for.
            Call::new(caller)?.load_by_name((name, length), graph)
        },
    )?;
    linker.func_wrap(MODULE, "fini_single", |caller: Caller<'_, CoreState>, context: u32| {
        Call::new(caller)?.finish_single(context)
    })?;
    linker.func_wrap(MODULE, "unload", |caller: Caller<'_, CoreState>, graph: u32| Call::new(caller)?.unload(graph))?;
    linker.func_wrap(MODULE, "finalize_execution_context", |caller: Caller<'_, CoreState>, context: u32| {
        Call::new(caller)?.finalize_execution_context(context)
    })?;
    Ok(())
}

/// The number that the guest gets.
fn answer(result: Result<(), Errno>) -> Result<u32> {
    Ok(match result {
        Ok(()) => Errno::SUCCESS,
        Err(errno) => errno.number(),
    })
}
