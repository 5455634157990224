//! Why a model could not be loaded or run.

use std::path::PathBuf;

use crate::{BackendId, Device, ErrorKind, Kinded, SignatureError, TensorError};

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
    /// The device has no room for the model or for this inference.
    #[error("backend `{backend}`: device `{device}` is out of memory: {reason}")]
    OutOfMemory {
        /// The backend.
        backend: BackendId,
        /// The device.
        device: Device,
        /// The library's own message.
        reason: String,
    },
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
            Self::OutOfMemory { .. } => ErrorKind::ResourceExhausted,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Model { .. } | Self::Tensor(_) | Self::Run { .. } => ErrorKind::Internal,
        }
    }
}
