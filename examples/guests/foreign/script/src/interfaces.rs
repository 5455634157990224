//! The functions that scripts call, in the order of their codes.

/// A function of the host as the guest's code sees it: numbers in, one number out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The name that it is imported under.
    pub name: &'static str,
    /// How many numbers it takes, up to [`ARGUMENTS_LIMIT`].
    pub arguments: usize,
}

/// The most numbers that a function takes.
pub const ARGUMENTS_LIMIT: usize = 5;

/// `wasi_ephemeral_nn`, with what WasmEdge added. Source: `wasi-nn.witx` of the proposal, and WasmEdge's crate for guests.
pub const WITX: &[Function] = &[
    function("load", 5),
    function("load_by_name", 3),
    function("load_by_name_with_config", 5),
    function("init_execution_context", 2),
    function("set_input", 3),
    function("compute", 1),
    function("compute_single", 1),
    function("get_output", 5),
    function("get_output_single", 5),
    function("fini_single", 1),
    function("unload", 1),
    function("finalize_execution_context", 1),
];

/// `wasi:nn` as the canonical ABI flattens it. What does not fit into one number is written to the address given last.
/// Sources: `wasi-nn.wit` of the proposal, and the component model's `CanonicalABI.md`.
pub const NN: &[Function] = &[
    function("[constructor]tensor", 5),
    function("[method]tensor.dimensions", 2),
    function("[method]tensor.ty", 1),
    function("[method]tensor.data", 2),
    function("[resource-drop]tensor", 1),
    function("load", 5),
    function("load-by-name", 3),
    function("[method]graph.init-execution-context", 2),
    function("[resource-drop]graph", 1),
    function("[method]graph-execution-context.compute", 4),
    function("[resource-drop]graph-execution-context", 1),
    function("[method]error.code", 1),
    function("[method]error.data", 2),
    function("[resource-drop]error", 1),
];

const fn function(name: &'static str, arguments: usize) -> Function {
    Function { name, arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_is_named_twice_or_takes_more_than_a_call_has() {
        for functions in [WITX, NN] {
            for (index, function) in functions.iter().enumerate() {
                assert!(function.arguments <= ARGUMENTS_LIMIT, "{}", function.name);
                assert!(functions[..index].iter().all(|earlier| earlier.name != function.name), "{}", function.name);
            }
        }
    }
}
