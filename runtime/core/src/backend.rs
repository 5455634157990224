//! The two traits of inference: a backend loads a model, a session runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    BackendId, Batch, Device, ErrorKind, Kinded, Layout, NamedTensor, Placement, Precision, Signature, SignatureError,
    TensorError,
};

/// The file format of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFormat {
    /// Weights alone; the architecture is a sibling `config.json`.
    Safetensors,
    /// An ONNX graph with its weights.
    Onnx,
}

impl ModelFormat {
    /// The name used in manifests and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
        }
    }
}

impl std::fmt::Display for ModelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How the hidden states of a row become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over the tokens that are not masked out.
    Mean,
    /// The first token, `[CLS]`.
    Cls,
    /// The last token that is not masked out.
    Last,
}

/// An output that is pooled inside the session: `[rows, hidden]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedOutput {
    /// Its name in the signature.
    pub name: String,
    /// How it is pooled.
    pub pooling: Pooling,
    /// Whether each vector is scaled to length 1.
    pub is_normalized: bool,
}

/// Everything a backend needs to load a model.
#[derive(Clone, Debug)]
pub struct LoadRequest<'a> {
    /// Name of the model, for messages.
    pub model: &'a str,
    /// The model file.
    pub file: &'a Path,
    /// Its format.
    pub format: ModelFormat,
    /// `config.json` of the architecture, for formats that carry weights alone.
    pub architecture: Option<&'a Path>,
    /// Inputs and outputs the manifest promises; the session must offer them.
    pub signature: &'a Signature,
    /// Outputs of the signature that are pooled inside the session, and how.
    pub fused_outputs: &'a [FusedOutput],
    /// Where to run. A backend runs there or fails; it never chooses another device.
    pub device: Device,
    /// Arithmetic to use. A backend uses it or fails.
    pub precision: Precision,
    /// Threads for one inference; from the cgroup, not the host's core count.
    pub threads: usize,
}

/// What a loaded session is: the facts that responses, metrics and the scheduler need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Backend and device that really run the model.
    pub placement: Placement,
    /// Arithmetic really used.
    pub precision: Precision,
    /// Inputs and outputs.
    pub signature: Signature,
    /// Layouts that [`Session::run`] takes, best first.
    pub layouts: Vec<Layout>,
    /// Outputs that are pooled inside the session.
    pub fused_outputs: Vec<FusedOutput>,
    /// Version of the library that runs it.
    pub library_version: String,
}

/// Stops a running inference from another thread; calling it when nothing runs has no effect on the next run.
pub trait Cancel: Send + Sync {
    /// Asks the inference in progress to end early with [`BackendError::Cancelled`].
    fn cancel(&self);
}

/// A model loaded on a device. Owned by one worker thread; native sessions are not safe to share.
pub trait Session: Send {
    /// What this session is.
    fn info(&self) -> &SessionInfo;

    /// Runs one inference and returns the outputs in the order of the signature.
    ///
    /// A session checks what only it can know; names, types and shapes of padded inputs were checked against
    /// [`SessionInfo::signature`] by the caller, and are checked again here so that no caller can crash a native library.
    ///
    /// # Errors
    /// [`BackendError`]; the session stays usable after every error.
    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError>;

    /// A handle that cancels the inference in progress, if the backend can.
    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        None
    }
}

/// A library that can run models.
pub trait Backend: Send + Sync {
    /// Its id.
    fn id(&self) -> BackendId;

    /// Formats it reads, best first.
    fn formats(&self) -> &'static [ModelFormat];

    /// What was found on this machine. Never fails: absence is a finding.
    fn probe(&self) -> BackendReport;

    /// Loads a model onto exactly the requested device and precision.
    ///
    /// # Errors
    /// [`BackendError`] naming the library, file or device and the remedy.
    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Session>, BackendError>;
}

/// What a backend found when it looked for its library and devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendId,
    /// Version of its library, if loaded.
    pub version: Option<String>,
    /// Where the library lies; `None` for what is compiled in.
    pub library: Option<PathBuf>,
    /// Each device it could run on.
    pub devices: Vec<DeviceReport>,
}

/// Whether a device can be used, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// The device.
    pub device: Device,
    /// `None` when it can be used; otherwise what is missing and what to do.
    pub missing: Option<String>,
    /// Precisions it can run in.
    pub precisions: Vec<Precision>,
}

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The native library is not there or not usable.
    #[error("{library} is not available: {reason}")]
    Library {
        /// Name of the library.
        library: &'static str,
        /// What was tried, and the remedy.
        reason: String,
    },
    /// The backend cannot run on this device.
    #[error("backend `{backend}` cannot use device `{device}`: {reason}")]
    Device {
        /// The backend.
        backend: BackendId,
        /// The device asked for.
        device: Device,
        /// What is missing.
        reason: String,
    },
    /// The backend does not do what was asked for.
    #[error("backend `{backend}` does not support {what}")]
    Unsupported {
        /// The backend.
        backend: BackendId,
        /// The format, precision, layout or type.
        what: String,
    },
    /// The model file cannot be used.
    #[error("model `{model}`: {}: {reason}", .file.display())]
    Model {
        /// Name of the model.
        model: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors do not fit the model.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The values or lengths in the tensors do not fit the model.
    #[error("{0}")]
    Input(String),
    /// An output is not a tensor of a type that Wisp knows.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The inference was cancelled.
    #[error("inference was cancelled")]
    Cancelled,
    /// The library failed.
    #[error("backend `{backend}` failed: {reason}")]
    Run {
        /// The backend.
        backend: BackendId,
        /// The library's own message.
        reason: String,
    },
}

impl Kinded for BackendError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Library { .. } | Self::Device { .. } => ErrorKind::Unavailable,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Signature(_) | Self::Input(_) => ErrorKind::InvalidArgument,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Model { .. } | Self::Tensor(_) | Self::Run { .. } => ErrorKind::Internal,
        }
    }
}
