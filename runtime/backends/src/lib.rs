//! Inference backends behind one pair of traits, [`wisp_core::Backend`] and [`wisp_core::Session`].
//!
//! | id | library | device | formats |
//! |---|---|---|---|
//! | `openvino` | OpenVINO, loaded at run time | CPU, Intel GPU, Intel NPU | OpenVINO IR, ONNX, TensorFlow Lite |
//! | `ort` | ONNX Runtime, loaded at run time | CPU, NVIDIA GPU | ONNX |
//! | `candle` | compiled in | CPU; NVIDIA GPU in a build with `cuda` | safetensors (BERT, RoBERTa, DistilBERT) |
//!
//! [`all`] is the table of them. A backend that lacks its native library still stands in the table: its
//! [`probe`](wisp_core::Backend::probe) says what is missing, and loading a model with it fails with the same words.
//!
//! Adding a backend is one file here, one `mod` line, one row in [`all`], and one feature. The conformance suite
//! (`tests/conformance.rs`) then runs on it by itself.

#![deny(unsafe_code)]

use std::path::PathBuf;

use wisp_core::Backend;

#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "ort")]
mod cuda;
mod ending;
mod heap;
#[cfg(feature = "openvino")]
mod openvino;
#[cfg(feature = "ort")]
mod ort;

pub use ending::end_process;

/// Where the native libraries lie, as far as they were found.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    /// `libopenvino_c.so` of OpenVINO 2024.0 or newer, with its plugins beside it.
    pub openvino: Option<PathBuf>,
    /// `libonnxruntime.so` of ONNX Runtime 1.22 or newer.
    pub onnxruntime: Option<PathBuf>,
    /// `libonnxruntime.so` of a build with CUDA, with its execution provider in the same folder (the Python package
    /// `onnxruntime-gpu`). When it is given, it is opened in place of [`Libraries::onnxruntime`], for every device: a process
    /// has one ONNX Runtime, and this one runs on the CPU as well. So name it only where a deployment is placed on a GPU;
    /// giving its path as `onnxruntime` does the same.
    pub onnxruntime_cuda: Option<PathBuf>,
    /// Folders that hold NVIDIA's own libraries (CUDA runtime, cuBLAS, cuRAND, cuDNN). What the loader finds by itself comes
    /// first.
    pub cuda: Vec<PathBuf>,
}

/// Every backend compiled into this binary.
#[must_use]
#[expect(clippy::vec_init_then_push, reason = "each row stands behind the feature of its backend")]
pub fn all(libraries: &Libraries) -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    #[cfg(feature = "openvino")]
    backends.push(Box::new(openvino::OpenVinoBackend::new(libraries.openvino.clone())));
    #[cfg(feature = "ort")]
    backends.push(Box::new(ort::OrtBackend::new(
        libraries.onnxruntime_cuda.clone().or_else(|| libraries.onnxruntime.clone()),
        libraries.cuda.clone(),
    )));
    #[cfg(feature = "candle")]
    backends.push(Box::new(candle::CandleBackend));
    backends
}

/// Whether this machine has a usable NVIDIA driver: without one, no library for CUDA is worth fetching.
#[must_use]
pub fn has_cuda_driver() -> bool {
    #[cfg(feature = "ort")]
    return cuda::has_driver();
    #[cfg(not(feature = "ort"))]
    false
}
