//! Why a model could not be exported.

use std::path::{Path, PathBuf};

/// Why a model could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not JSON, lacks a key, or asks for something that this exporter does not build.
    #[error("{}:{line}:{column}: {reason}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there, and what would be right.
        reason: String,
    },
    /// The attention heads do not divide the hidden state.
    #[error("{}: hidden_size {hidden_size} is not a multiple of num_attention_heads {heads}", .path.display())]
    Heads {
        /// `config.json`.
        path: PathBuf,
        /// Length of a hidden state.
        hidden_size: usize,
        /// Number of attention heads.
        heads: usize,
    },
    /// The weights do not start with a valid safetensors header.
    #[error("{} is not a safetensors file: {reason}; fetch it again", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with the header.
        reason: String,
    },
    /// The weights are shorter or longer than their header says.
    #[error("{} must be {expected_bytes} bytes long by its header, but is {actual_bytes}; fetch it again", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Length that the header asks for.
        expected_bytes: u64,
        /// Length of the file.
        actual_bytes: u64,
    },
    /// The weights lack a tensor that the architecture needs.
    #[error("{} has no tensor `{tensor}`; check that it belongs to this config.json", .path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor has another shape than the architecture gives it.
    #[error("{}: tensor `{tensor}` must have shape {expected:?} by config.json, but has {actual:?}", .path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape that the architecture asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        actual: Vec<usize>,
    },
    /// A tensor is of a type that is not a plain float.
    #[error("{}: tensor `{tensor}` is {actual}; f32, f16 and bf16 can be exported", .path.display())]
    DataType {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Type in the file.
        actual: String,
    },
    /// A tensor holds something that no code stands for.
    #[error("{}: tensor `{tensor}` holds values that are not finite or too far apart for int8", .path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the graph.
        tensor: String,
    },
    /// The file with the ranges of activations is none.
    #[error("{}: {reason}; make it anew with `wisp models calibrate`", .path.display())]
    Ranges {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The ranges of activations are those of another model.
    #[error("the ranges of activations do not fit: `{activation}` {reason}; calibrate this model")]
    Activation {
        /// Its name in the graph.
        activation: String,
        /// What is wrong.
        reason: String,
    },
    /// The ONNX file would be longer than its format allows.
    #[error("the ONNX file would take {bytes} bytes; a protobuf message holds at most {limit_bytes}")]
    TooLarge {
        /// Length that the model needs.
        bytes: u64,
        /// The limit of the format.
        limit_bytes: u64,
    },
}

impl ExportError {
    /// For `map_err`: an I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
