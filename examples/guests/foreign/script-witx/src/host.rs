//! The host's functions by raw numbers, in the order of [`script::WITX`].

use script::{ARGUMENTS_LIMIT, WITX};

/// A call with the numbers that it takes out of those that a script has for it.
type Call = fn([u32; ARGUMENTS_LIMIT]) -> u32;

pub(crate) const CALLS: [Call; WITX.len()] = [
    |[parts, count, encoding, target, graph]| load(parts, count, encoding, target, graph),
    |[name, length, graph, ..]| load_by_name(name, length, graph),
    |[name, length, config, config_length, graph]| load_by_name_with_config(name, length, config, config_length, graph),
    |[graph, context, ..]| init_execution_context(graph, context),
    |[context, index, tensor, ..]| set_input(context, index, tensor),
    |[context, ..]| compute(context),
    |[context, ..]| compute_single(context),
    |[context, index, buffer, length, written]| get_output(context, index, buffer, length, written),
    |[context, index, buffer, length, written]| get_output_single(context, index, buffer, length, written),
    |[context, ..]| fini_single(context),
    |[graph, ..]| unload(graph),
    |[context, ..]| finalize_execution_context(context),
];

// `safe`, because any number may be passed: a host that reads or writes outside the memory breaks what WebAssembly promises,
// and what it writes inside is what scripts are for.
#[link(wasm_import_module = "wasi_ephemeral_nn")]
unsafe extern "C" {
    safe fn load(parts: u32, count: u32, encoding: u32, target: u32, graph: u32) -> u32;
    safe fn load_by_name(name: u32, length: u32, graph: u32) -> u32;
    safe fn load_by_name_with_config(name: u32, length: u32, config: u32, config_length: u32, graph: u32) -> u32;
    safe fn init_execution_context(graph: u32, context: u32) -> u32;
    safe fn set_input(context: u32, index: u32, tensor: u32) -> u32;
    safe fn compute(context: u32) -> u32;
    safe fn compute_single(context: u32) -> u32;
    safe fn get_output(context: u32, index: u32, buffer: u32, length: u32, written: u32) -> u32;
    safe fn get_output_single(context: u32, index: u32, buffer: u32, length: u32, written: u32) -> u32;
    safe fn fini_single(context: u32) -> u32;
    safe fn unload(graph: u32) -> u32;
    safe fn finalize_execution_context(context: u32) -> u32;
}
