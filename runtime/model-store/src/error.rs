//! What can go wrong between a model's name and its verified files.

use std::path::{Path, PathBuf};

use wisp_core::{ErrorKind, Kinded};
use wisp_model_export::ExportError;

use crate::fetch::FetchError;
use crate::{ArtifactError, GoldenError, ManifestError, Sha256Digest};

/// Why a model or library cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The environment names no cache directory.
    #[error("no cache directory: set WISP_HOME, XDG_CACHE_HOME or HOME")]
    NoHome,
    /// Neither a built-in model nor a folder with a manifest.
    #[error(
        "unknown model `{source_name}`; built in are {builtins}; imported are {imported}; for a model of your own, name a folder that holds model.toml"
    )]
    UnknownModel {
        /// The source as given.
        source_name: String,
        /// Names of the built-in models.
        builtins: String,
        /// Names of the imported models, or `none`.
        imported: String,
    },
    /// The folder of a model cannot be read.
    #[error("model folder {}: {source}; mount or create it, let this user read it, or correct the source of the model", .path.display())]
    ModelFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The source is an artifact that is not named as it must be.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The artifact is not in the cache.
    #[error("`oci:{reference}` is not in the cache; run `wisp pull {reference}` where the registry is")]
    NotPulled {
        /// The reference, without `oci:`.
        reference: String,
    },
    /// The artifact is a Wasm module.
    #[error("`oci:{reference}` is a Wasm module, not a model; name it as the guest of a deployment")]
    NoModelArtifact {
        /// The reference, without `oci:`.
        reference: String,
    },
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The file is none that a backend could load.
    #[error("`{path}` is no model file of model `{model}`; those are {offered}")]
    NoModelFile {
        /// Name of the model.
        model: String,
        /// Path of what was asked for.
        path: String,
        /// Paths of the model files in the manifest.
        offered: String,
    },
    /// The labels cannot be used.
    #[error("labels of model `{model}`: {reason}")]
    Labels {
        /// Name of the model.
        model: String,
        /// What is wrong with them, and where.
        reason: String,
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
    /// A file is longer than the store reads into memory.
    #[error("{} is {size_bytes} bytes long; at most {limit_bytes} are read", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A file is there, but it is not the file of the manifest.
    #[error("{} is truncated or was replaced: {difference}; {remedy}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it differs.
        difference: Difference,
        /// What to do.
        remedy: String,
    },
    /// Files are missing, and nothing may be fetched.
    #[error("{what} is not complete: {} missing, and fetching is off; {remedy}", .missing.join(", "))]
    Offline {
        /// The model or library.
        what: String,
        /// Paths of the missing files.
        missing: Vec<String>,
        /// What to do.
        remedy: String,
    },
    /// Files were to be fetched anew, and nothing may be fetched.
    #[error(
        "the files of model `{model}` cannot be fetched again while fetching is off; leave out --force, or --offline (WISP_OFFLINE); nothing was deleted"
    )]
    RenewOffline {
        /// Name of the model.
        model: String,
    },
    /// Every source failed.
    #[error("cannot fetch {what}:{}\nor put the files into {} yourself", lines(.attempts), .folder.display())]
    Fetch {
        /// The model or library, and the files that are still missing.
        what: String,
        /// What each source said, in the order tried.
        attempts: Vec<FetchAttempt>,
        /// Where files that lie there with the right digest are taken up.
        folder: PathBuf,
    },
    /// A model file could not be made out of another.
    #[error("cannot build {path} of model `{model}`: {source}")]
    Export {
        /// Name of the model.
        model: String,
        /// Path of the file in the manifest.
        path: String,
        /// What the exporter said.
        source: Box<ExportError>,
    },
    /// A file was made, and its bytes are not those of the manifest.
    #[error(
        "{path} of model `{model}` came out other than the manifest says: {difference}; the manifest was written for another version of the exporter"
    )]
    Derived {
        /// Name of the model.
        model: String,
        /// Path of the file in the manifest.
        path: String,
        /// How it differs.
        difference: Difference,
    },
    /// The golden vectors cannot be used.
    #[error("golden vectors of model `{model}`: {source}")]
    Golden {
        /// Name of the model.
        model: String,
        /// What is wrong with them.
        source: GoldenError,
    },
    /// The library is not published for this platform.
    #[error("{library} {version} has no build for {platform}; there are builds for {offered}")]
    Platform {
        /// Name of the library.
        library: &'static str,
        /// Its version.
        version: &'static str,
        /// Operating system and processor of this machine.
        platform: String,
        /// Platforms that have a build.
        offered: String,
    },
}

/// A source that was tried, and why it gave nothing.
#[derive(Debug)]
pub struct FetchAttempt {
    /// The source, as in `pip wheel NAME VERSION`.
    pub source: String,
    /// What went wrong.
    pub error: FetchError,
}

/// How a file differs from what was pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// In length, so that its digest was not computed.
    #[error("expected {expected_bytes} bytes, found {actual_bytes}")]
    Size {
        /// Pinned length.
        expected_bytes: u64,
        /// Length found.
        actual_bytes: u64,
    },
    /// In content.
    #[error("expected sha256 {expected}, found {actual}")]
    Digest {
        /// Pinned digest.
        expected: Sha256Digest,
        /// Digest found.
        actual: Sha256Digest,
    },
}

impl StoreError {
    /// For `map_err`: an I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

impl Kinded for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownModel { .. } | Self::NotPulled { .. } => ErrorKind::NotFound,
            Self::ModelFolder { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::NoHome | Self::Labels { .. } | Self::Artifact(_) | Self::NoModelArtifact { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Manifest(error) => error.kind(),
            Self::Golden { source, .. } => source.kind(),
            Self::NoModelFile { .. } | Self::Platform { .. } => ErrorKind::Unsupported,
            Self::Offline { .. } | Self::RenewOffline { .. } | Self::Fetch { .. } => ErrorKind::Unavailable,
            Self::ModelFolder { .. }
            | Self::Io { .. }
            | Self::Corrupt { .. }
            | Self::Export { .. }
            | Self::Derived { .. } => ErrorKind::Internal,
        }
    }
}

/// One line an attempt: sources fail for different reasons, and each needs another remedy.
fn lines(attempts: &[FetchAttempt]) -> String {
    attempts.iter().map(|attempt| format!("\n  {}: {}", attempt.source, attempt.error)).collect()
}
