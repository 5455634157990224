//! Bindings generated from the WIT that the guest SDK reads too.

pub(crate) mod classifier;

wasmtime::component::bindgen!({
    path: "../../guest-sdk/wit",
    world: "wisp:inference/embedder",
    imports: {
        "wasi:nn/inference@0.2.0-rc-2024-10-28.[method]graph-execution-context.compute": async | trappable,
        "wasi:nn/graph@0.2.0-rc-2024-10-28.load": async | trappable,
        "wisp:inference/tokenizer@0.1.0.encode": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "wasi:nn/tensor@0.2.0-rc-2024-10-28.tensor": crate::nn::NnTensor,
        "wasi:nn/errors@0.2.0-rc-2024-10-28.error": crate::nn::NnError,
        "wasi:nn/graph@0.2.0-rc-2024-10-28.graph": crate::nn::Graph,
        "wasi:nn/inference@0.2.0-rc-2024-10-28.graph-execution-context": crate::nn::ExecutionContext,
        "wisp:inference/tokenizer@0.1.0.encoding": crate::inference::Encoding,
    },
});
