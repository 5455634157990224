//! Why a container could not be made, in words for the person who wrote its manifest.

use std::path::PathBuf;

/// The outcome of a step.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The message ends up in the event that `kubectl describe pod` shows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The specification asks for something that this shim does not do.
    #[error("{what} is not supported by the wisp runtime; {remedy}")]
    Unsupported { what: String, remedy: &'static str },

    /// The entrypoint is missing from the image.
    #[error(
        "entrypoint `{entrypoint}` is not in the image, and the image is no WebAssembly artifact; \
             set the image's entrypoint to its .wasm file"
    )]
    NoEntrypoint { entrypoint: String },

    /// The entrypoint is a file that neither we nor the kernel can run.
    #[error("entrypoint `{entrypoint}` is neither a WebAssembly module nor a Linux program; it begins with {start}")]
    NotExecutable { entrypoint: String, start: String },

    /// A Linux program for another processor.
    #[error(
        "entrypoint `{entrypoint}` is a program for {machine}, this node is {node}; use an image for this platform"
    )]
    WrongArchitecture { entrypoint: String, machine: String, node: &'static str },

    /// Machine code that somebody else compiled.
    #[error(
        "`{entrypoint}` is precompiled machine code, which is only trusted where this node compiled it; \
             put the .wasm module itself into the image"
    )]
    Precompiled { entrypoint: String },

    /// A module beyond the bound.
    #[error("module `{name}` has {bytes} bytes, more than the limit of {limit_bytes} for modules")]
    ModuleTooLarge { name: String, bytes: u64, limit_bytes: u64 },

    /// An artifact without a module, or with more than one.
    #[error("image `{image}` has {found} WebAssembly layers, exactly one is needed; its layers are {layers}")]
    ArtifactLayers { image: String, found: usize, layers: String },

    /// An artifact whose bytes are not what its digest says.
    #[error(
        "layer {digest} of image `{image}` does not have its digest; the content store is damaged, pull the image again"
    )]
    DigestMismatch { image: String, digest: String },

    /// The compiler did not accept the module.
    #[error("module `{name}` cannot be compiled: {reason}")]
    Compile { name: String, reason: String },

    /// Part of the installation is absent.
    #[error("the wisp installation at {} lacks {what}; put a whole bundle there, see `cargo xtask bundle`", root.display())]
    Installation { root: PathBuf, what: String },

    /// An annotation or option that does not parse.
    #[error("{place}: {reason}")]
    Setting { place: String, reason: String },

    /// containerd did not answer.
    #[error("containerd at {address} does not serve {what}: {reason}")]
    Containerd { address: String, what: String, reason: String },

    /// A system call failed.
    #[error("cannot {what}: {source}")]
    Io { what: String, source: std::io::Error },

    /// The container library refused.
    #[error("{0}")]
    Container(String),
}

/// Names what was attempted when a system call failed.
pub(crate) trait Attempt<T> {
    /// Turns the failure into [`Error::Io`]; `what` completes "cannot …".
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Attempt<T> for std::result::Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source: source.into() })
    }
}

impl From<libcontainer::error::LibcontainerError> for Error {
    fn from(error: libcontainer::error::LibcontainerError) -> Self {
        Self::Container(chain(&error))
    }
}

/// An error with its causes; the library's outermost message alone rarely names the reason.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
