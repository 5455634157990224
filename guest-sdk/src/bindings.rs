//! Bindings generated from `wit/` for the world `embedder`, and for what the world `classifier` has beyond it. Use the types of
//! the crate root; these are for a guest that needs a call of `wasi:nn` which they do not offer.

pub mod classifier;

wit_bindgen::generate!({
    path: "wit",
    world: "embedder",
    generate_all,
    pub_export_macro: true,
});
