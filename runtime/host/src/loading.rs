//! Models that guests bring as bytes: what the host asks of whoever can start them.

use std::sync::Arc;

use bytes::Bytes;
use wisp_core::{ErrorKind, Kinded};

use crate::GrantedModel;

/// Starts models that guests bring. Implemented by the engine, which has the backends.
pub trait ModelLoader: Send + Sync + std::fmt::Debug {
    /// Starts a model, or gives back the one that these bytes were started as before. Blocks while it compiles.
    ///
    /// # Errors
    /// [`LoadError`], which the guest is told.
    fn load(&self, model: ModelBytes) -> Result<Arc<GrantedModel>, LoadError>;
}

/// A model as a guest brings it.
#[derive(Clone, Debug)]
pub struct ModelBytes {
    /// One part, or two for OpenVINO: the graph in XML, and its weights.
    pub parts: Vec<Bytes>,
    /// What the guest says it is.
    pub encoding: GraphEncoding,
    /// The kind of device that the guest wants.
    pub target: ExecutionTarget,
}

/// Formats of the proposal, by its own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphEncoding {
    /// OpenVINO's intermediate representation.
    OpenVino,
    /// ONNX.
    Onnx,
    /// TensorFlow.
    TensorFlow,
    /// PyTorch.
    PyTorch,
    /// TensorFlow Lite.
    TensorFlowLite,
    /// Models of ggml.
    Ggml,
    /// Whatever the bytes look like.
    Autodetect,
}

/// Kinds of devices of the proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionTarget {
    /// A processor.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// An accelerator for tensors; NPUs count as that.
    Tpu,
}

/// Why a guest's model was not started.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What is wrong, and the remedy.
    pub message: String,
    /// Whether the encoding itself is the problem: the proposal has a code of its own for that.
    pub is_encoding: bool,
}

impl LoadError {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), is_encoding: false }
    }

    /// The encoding cannot be loaded, or is not what the bytes are.
    pub fn encoding(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidArgument, message: message.into(), is_encoding: true }
    }
}

impl Kinded for LoadError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}
