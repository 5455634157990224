//! The module that a pod was started with.

use wisp_host::CodeFile;

/// How the configuration of a pod names the module of its image.
pub const IMAGE_GUEST: &str = "image";

/// The module of a pod's image, and what was compiled of it before.
#[derive(Clone, Debug)]
pub struct PodImage {
    /// The component.
    pub wasm: Vec<u8>,
    /// Its machine code in the node's cache; `None` compiles it here.
    pub code: Option<CodeFile>,
}
