//! Bindings that describe the imports to whoever makes a component of this program; scripts call past them.

wit_bindgen::generate!({
    path: "../../../../guest-sdk/wit/deps/wasi-nn",
    world: "ml",
    generate_all,
});
