//! What can go wrong between a file and a registry.

use std::path::{Path, PathBuf};

use wisp_core::{ErrorKind, Kinded};
use wisp_model_store::{ArtifactError, StoreError};

/// Why an artifact was not pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The reference is malformed.
    #[error(
        "`{reference}` is no reference: {reason}; write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST"
    )]
    Reference {
        /// The reference as given.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration names an artifact that is not pinned.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The registry wants to know who asks, or does not let them.
    #[error("{registry} refuses access to {repository} ({identity}); {}", remedy_of_access(.registry, *.is_known))]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// Who was shown to it.
        identity: String,
        /// Whether a credential was shown.
        is_known: bool,
    },
    /// A credential cannot be had.
    #[error("credential for {registry}: {reason}")]
    Credential {
        /// The registry.
        registry: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// There is nothing of that name.
    #[error("{reference} does not exist in the registry; check name and tag")]
    NotFound {
        /// The reference, or the digest in a repository.
        reference: String,
    },
    /// No connection, or it broke each time.
    #[error("cannot reach {registry}: {reason} (tried {attempts} times); check the address and the network")]
    Unreachable {
        /// The registry.
        registry: String,
        /// What the last attempt said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// It answered nothing in time.
    #[error(
        "{registry} answered nothing for {timeout_s} s (tried {attempts} times); try later, or allow more with --timeout-s"
    )]
    TimedOut {
        /// The registry.
        registry: String,
        /// The longest silence.
        timeout_s: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// It is overloaded or broken.
    #[error("{registry} answered {answer} (tried {attempts} times); try later")]
    Unavailable {
        /// The registry.
        registry: String,
        /// The status, and what came with it.
        answer: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The certificate of the registry is not trusted.
    #[error(
        "the certificate of {registry} is not accepted: {reason}; if the registry is yours, name the certificate that signed it with --ca-file"
    )]
    Certificate {
        /// The registry.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry speaks HTTP without TLS.
    #[error("{registry} does not speak TLS; if that is meant to be, use --plain-http")]
    NoTls {
        /// The registry.
        registry: String,
    },
    /// The registry refused for a reason of its own.
    #[error("{registry} refuses: {reason}")]
    Refused {
        /// The registry.
        registry: String,
        /// What it said.
        reason: String,
    },
    /// What arrived is not what was asked for.
    #[error(
        "{what} is not what its digest says: expected {expected}, found {actual}; the registry or something on the way changed it"
    )]
    Digest {
        /// The manifest or layer.
        what: String,
        /// Its name.
        expected: String,
        /// What came.
        actual: String,
    },
    /// More than is taken.
    #[error("{what} has {size_bytes} bytes; at most {limit_bytes} are taken, more with --max-bytes")]
    TooLarge {
        /// The artifact, layer or file.
        what: String,
        /// Its size as far as known.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file is no Wasm.
    #[error("{what} is no WebAssembly ({found}); push a .wasm file, or a folder with a model.toml")]
    NotWasm {
        /// The file or layer.
        what: String,
        /// What it looks like.
        found: String,
    },
    /// The file is WebAssembly with mistakes in it.
    #[error("{what} is damaged WebAssembly: {reason}")]
    InvalidWasm {
        /// The file or layer.
        what: String,
        /// Where and what.
        reason: String,
    },
    /// The file is machine code.
    #[error(
        "{what} is precompiled machine code, which would run outside the sandbox; use the .wasm file that it was compiled from, Wisp compiles it itself"
    )]
    Precompiled {
        /// The file or layer.
        what: String,
    },
    /// The artifact is none that Wisp knows.
    #[error("{reference} is neither a Wasm module nor a model: {found}")]
    Unsupported {
        /// The artifact.
        reference: String,
        /// What it is instead.
        found: String,
    },
    /// An index has nothing for this machine.
    #[error("{reference} has nothing for {wanted}; it offers {offered}; name one by its digest")]
    Platform {
        /// The artifact.
        reference: String,
        /// What was looked for.
        wanted: String,
        /// Platforms and digests.
        offered: String,
    },
    /// A layer would write where it must not.
    #[error("{reference}: entry `{entry}` of a layer is refused: {reason}; nothing was unpacked")]
    UnsafeEntry {
        /// The artifact.
        reference: String,
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file of a model is not what its manifest says.
    #[error("{reference}: {path} is {state}; the image was not made from a whole model")]
    ModelFile {
        /// The artifact.
        reference: String,
        /// Path of the file in the manifest.
        path: String,
        /// What it is.
        state: String,
    },
    /// What is to be written is there already.
    #[error("{} is there already; name another place, or remove it", .0.display())]
    Exists(PathBuf),
    /// Nothing may be fetched.
    #[error("{reference} is not in the cache, and fetching is off; leave out --offline (WISP_OFFLINE)")]
    Offline {
        /// The artifact.
        reference: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The model cannot be had or read.
    #[error(transparent)]
    Store(#[from] Box<StoreError>),
}

impl RegistryError {
    /// For `map_err`: an I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Kinded for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Reference { .. } | Self::Artifact(_) | Self::NotWasm { .. } | Self::InvalidWasm { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::Unauthorized { .. } | Self::Credential { .. } | Self::Precompiled { .. } => {
                ErrorKind::PermissionDenied
            }
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::Offline { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::DeadlineExceeded,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unsupported { .. } | Self::Platform { .. } | Self::NoTls { .. } => ErrorKind::Unsupported,
            Self::Store(error) => error.kind(),
            Self::Certificate { .. }
            | Self::Refused { .. }
            | Self::Digest { .. }
            | Self::UnsafeEntry { .. }
            | Self::ModelFile { .. }
            | Self::Exists(_)
            | Self::Io { .. } => ErrorKind::Internal,
        }
    }
}

fn remedy_of_access(registry: &str, is_known: bool) -> String {
    if is_known {
        format!(
            "check user, password and rights, and log in again with `docker login {registry}` or `oras login {registry}`"
        )
    } else {
        format!(
            "log in with `docker login {registry}` or `oras login {registry}`, which write the file that DOCKER_CONFIG names"
        )
    }
}
