//! Which of our errors a failure of ONNX Runtime is: its codes are coarse, so most of it stands in the message.

use ort::ErrorCode;
use wisp_core::{BackendError, BackendId, Device, LoadRequest};

/// What a message says beyond its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Cancelled,
    OutOfMemory,
    /// The device or one of its libraries.
    Device,
    /// Values that the graph cannot take, such as a token id beyond the vocabulary.
    Values,
    Other,
}

/// Part of a message, and what it means. The first row that fits counts.
const MESSAGES: [(&str, Fault); 15] = [
    // A run that was terminated fails like any other (execution_frame, sequential_executor.cc).
    ("terminate flag", Fault::Cancelled),
    // bfc_arena.cc: no room in the device, or in the limit that the request set.
    ("Failed to allocate memory for requested buffer", Fault::OutOfMemory),
    ("is smaller than requested bytes of", Fault::OutOfMemory),
    // cuda_call.cc: `CUDA failure 2: out of memory ; GPU=0 ; …`, the text of cudaGetErrorString.
    ("CUDA failure 2: ", Fault::OutOfMemory),
    ("CUDA out of memory", Fault::OutOfMemory),
    ("CUDA_ERROR_OUT_OF_MEMORY", Fault::OutOfMemory),
    ("CUBLAS_STATUS_ALLOC_FAILED", Fault::OutOfMemory),
    ("CUBLAS failure 3: ", Fault::OutOfMemory),
    ("CUDNN_STATUS_ALLOC_FAILED", Fault::OutOfMemory),
    // cuDNN 9 has one status for the device and one for the host.
    ("ALLOCATION_FAILED", Fault::OutOfMemory),
    ("std::bad_alloc", Fault::OutOfMemory),
    ("CUDA failure ", Fault::Device),
    ("CUBLAS failure ", Fault::Device),
    ("CUDNN failure ", Fault::Device),
    // provider_bridge_ort.cc, when the provider or something that it needs cannot be loaded.
    ("Failed to load library", Fault::Device),
];

fn fault(code: ErrorCode, message: &str) -> Fault {
    match MESSAGES.iter().find(|(part, _)| message.contains(part)) {
        Some((_, fault)) => *fault,
        None if code == ErrorCode::InvalidArgument => Fault::Values,
        None => Fault::Other,
    }
}

/// Any failure of the library that neither a file nor an inference caused.
pub(super) fn general<T>(error: &ort::Error<T>) -> BackendError {
    BackendError::Run { backend: BackendId::Ort, reason: error.to_string() }
}

/// A failure to set the device up.
pub(super) fn of_provider<T>(error: &ort::Error<T>, device: Device) -> BackendError {
    let reason = error.message().to_owned();
    match fault(error.code(), &reason) {
        Fault::OutOfMemory => BackendError::OutOfMemory { backend: BackendId::Ort, device, reason },
        _ => BackendError::Device { backend: BackendId::Ort, device, reason },
    }
}

/// A failure of an inference.
pub(super) fn of_run(error: &ort::Error, device: Device) -> BackendError {
    let reason = error.message().to_owned();
    match fault(error.code(), &reason) {
        Fault::Cancelled => BackendError::Cancelled,
        Fault::OutOfMemory => BackendError::OutOfMemory { backend: BackendId::Ort, device, reason },
        Fault::Values => BackendError::Input(reason),
        Fault::Device | Fault::Other => BackendError::Run { backend: BackendId::Ort, reason },
    }
}

/// A failure to make a session of a file. What is not the device's is the file's, and the library's message names the operator
/// that it lacks.
pub(super) fn of_load<T>(error: &ort::Error<T>, request: &LoadRequest<'_>) -> BackendError {
    let (reason, device) = (error.message().to_owned(), request.device);
    match fault(error.code(), &reason) {
        Fault::OutOfMemory => BackendError::OutOfMemory { backend: BackendId::Ort, device, reason },
        Fault::Device => BackendError::Device { backend: BackendId::Ort, device, reason },
        Fault::Cancelled | Fault::Values | Fault::Other => {
            BackendError::Model { model: request.model.to_owned(), file: request.file.to_owned(), reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages as ONNX Runtime makes them, with the code that they come with.
    #[test]
    fn real_messages_are_understood() {
        use ErrorCode::{
            ExecutionProviderFailure, GenericFailure, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException,
        };
        for (code, message, expected) in [
            (GenericFailure, "Exiting due to terminate flag being set to true.", Fault::Cancelled),
            (
                RuntimeException,
                "Non-zero status code returned while running FusedMatMul node. Name:'attention' Status Message: \
                 onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, \
                 onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 4294967296\n",
                Fault::OutOfMemory,
            ),
            (
                RuntimeException,
                "onnxruntime/core/framework/bfc_arena.cc:358 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, \
                 onnxruntime::Stream*) Available memory of 189612800 is smaller than requested bytes of 221179904",
                Fault::OutOfMemory,
            ),
            (
                ExecutionProviderFailure,
                "CUDA failure 2: out of memory ; GPU=0 ; hostname=node ; file=cuda_allocator.cc ; line=48 ; \
                 expr=cudaMalloc((void**)&p, size); ",
                Fault::OutOfMemory,
            ),
            (
                ExecutionProviderFailure,
                "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=node ; file=cuda_execution_provider.cc ; \
                 line=182 ; expr=cublasCreate(&cublas_handle_); ",
                Fault::OutOfMemory,
            ),
            (
                ExecutionProviderFailure,
                "CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0 ; hostname=node",
                Fault::OutOfMemory,
            ),
            (RuntimeException, "Exception during initialization: std::bad_alloc", Fault::OutOfMemory),
            (
                ExecutionProviderFailure,
                "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=node ; file=gpu_data_transfer.cc",
                Fault::Device,
            ),
            (
                GenericFailure,
                "provider_bridge_ort.cc:1778 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : \
                 FAIL : Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared \
                 object file: No such file or directory",
                Fault::Device,
            ),
            (
                InvalidArgument,
                "Non-zero status code returned while running Gather node. Name:'word' Status Message: indices element out of data \
                 bounds, idx=999999 must be within the inclusive range [-30522,30521]",
                Fault::Values,
            ),
            (NotImplemented, "Could not find an implementation for Det(22) node with name 'd'", Fault::Other),
            (InvalidGraph, "Fatal error: wisp.test:Frobnicate(-1) is not a registered function/op", Fault::Other),
        ] {
            assert_eq!(fault(code, message), expected, "{message}");
        }
    }
}
