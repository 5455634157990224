//! The world `classifier`: its own interfaces, over the types of those that it shares with the world `embedder`.

wit_bindgen::generate!({
    path: "wit",
    world: "classifier",
    with: {
        "wasi:nn/errors@0.2.0-rc-2024-10-28": crate::bindings::wasi::nn::errors,
        "wasi:nn/graph@0.2.0-rc-2024-10-28": crate::bindings::wasi::nn::graph,
        "wasi:nn/inference@0.2.0-rc-2024-10-28": crate::bindings::wasi::nn::inference,
        "wasi:nn/tensor@0.2.0-rc-2024-10-28": crate::bindings::wasi::nn::tensor,
        "wisp:inference/models@0.1.0": crate::bindings::wisp::inference::models,
        "wisp:inference/tokenizer@0.1.0": crate::bindings::wisp::inference::tokenizer,
        "wisp:inference/types@0.1.0": crate::bindings::wisp::inference::types,
    },
    generate_all,
    pub_export_macro: true,
});
