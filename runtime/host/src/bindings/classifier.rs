//! What the world `classifier` has beyond the world `embedder`, over the same types.

wasmtime::component::bindgen!({
    path: "../../guest-sdk/wit",
    inline: "
        package wisp:host;

        world classifier {
            import wisp:inference/state@0.1.0;
            export wisp:inference/classification@0.1.0;
        }
    ",
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "wasi:nn/tensor@0.2.0-rc-2024-10-28": crate::bindings::wasi::nn::tensor,
        "wisp:inference/types@0.1.0": crate::bindings::wisp::inference::types,
    },
});
