//! Between the types of guests' interfaces and those of the core. The tables of error codes are the host's only ones.

use wisp_core::{DataType, ErrorKind, Pooling};

use crate::bindings::wasi::nn::errors::ErrorCode;
use crate::bindings::wasi::nn::graph as wit;
use crate::bindings::wasi::nn::tensor::TensorType;
use crate::bindings::wisp::inference::models::Pooling as WitPooling;
use crate::bindings::wisp::inference::types::ErrorKind as WitErrorKind;
use crate::loading::{ExecutionTarget, GraphEncoding};

pub(crate) fn data_type(ty: TensorType) -> DataType {
    match ty {
        TensorType::Fp16 => DataType::F16,
        TensorType::Fp32 => DataType::F32,
        TensorType::Fp64 => DataType::F64,
        TensorType::Bf16 => DataType::Bf16,
        TensorType::U8 => DataType::U8,
        TensorType::I32 => DataType::I32,
        TensorType::I64 => DataType::I64,
    }
}

pub(crate) fn tensor_type(data_type: DataType) -> TensorType {
    match data_type {
        DataType::F16 => TensorType::Fp16,
        DataType::F32 => TensorType::Fp32,
        DataType::F64 => TensorType::Fp64,
        DataType::Bf16 => TensorType::Bf16,
        DataType::U8 => TensorType::U8,
        DataType::I32 => TensorType::I32,
        DataType::I64 => TensorType::I64,
    }
}

pub(crate) fn encoding(encoding: wit::GraphEncoding) -> GraphEncoding {
    match encoding {
        wit::GraphEncoding::Openvino => GraphEncoding::OpenVino,
        wit::GraphEncoding::Onnx => GraphEncoding::Onnx,
        wit::GraphEncoding::Tensorflow => GraphEncoding::TensorFlow,
        wit::GraphEncoding::Pytorch => GraphEncoding::PyTorch,
        wit::GraphEncoding::Tensorflowlite => GraphEncoding::TensorFlowLite,
        wit::GraphEncoding::Ggml => GraphEncoding::Ggml,
        wit::GraphEncoding::Autodetect => GraphEncoding::Autodetect,
    }
}

pub(crate) fn target(target: wit::ExecutionTarget) -> ExecutionTarget {
    match target {
        wit::ExecutionTarget::Cpu => ExecutionTarget::Cpu,
        wit::ExecutionTarget::Gpu => ExecutionTarget::Gpu,
        wit::ExecutionTarget::Tpu => ExecutionTarget::Tpu,
    }
}

pub(crate) fn pooling(pooling: Option<Pooling>) -> WitPooling {
    match pooling {
        None => WitPooling::None,
        Some(Pooling::Mean) => WitPooling::Mean,
        Some(Pooling::Cls) => WitPooling::Cls,
        Some(Pooling::Last) => WitPooling::Last,
    }
}

/// The `wasi:nn` error code for each kind of failure.
pub(crate) fn nn_code(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::InvalidArgument => ErrorCode::InvalidArgument,
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::PermissionDenied => ErrorCode::Security,
        ErrorKind::TooLarge => ErrorCode::TooLarge,
        ErrorKind::DeadlineExceeded => ErrorCode::Timeout,
        ErrorKind::Unsupported => ErrorCode::UnsupportedOperation,
        ErrorKind::ResourceExhausted | ErrorKind::Cancelled | ErrorKind::Unavailable | ErrorKind::Internal => {
            ErrorCode::RuntimeError
        }
    }
}

pub(crate) fn wit_kind(kind: ErrorKind) -> WitErrorKind {
    match kind {
        ErrorKind::InvalidArgument => WitErrorKind::InvalidArgument,
        ErrorKind::NotFound => WitErrorKind::NotFound,
        ErrorKind::PermissionDenied => WitErrorKind::PermissionDenied,
        ErrorKind::TooLarge => WitErrorKind::TooLarge,
        ErrorKind::ResourceExhausted => WitErrorKind::ResourceExhausted,
        ErrorKind::DeadlineExceeded => WitErrorKind::DeadlineExceeded,
        ErrorKind::Cancelled => WitErrorKind::Cancelled,
        ErrorKind::Unavailable => WitErrorKind::Unavailable,
        ErrorKind::Unsupported => WitErrorKind::Unsupported,
        ErrorKind::Internal => WitErrorKind::Internal,
    }
}

pub(crate) fn core_kind(kind: WitErrorKind) -> ErrorKind {
    match kind {
        WitErrorKind::InvalidArgument => ErrorKind::InvalidArgument,
        WitErrorKind::NotFound => ErrorKind::NotFound,
        WitErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        WitErrorKind::TooLarge => ErrorKind::TooLarge,
        WitErrorKind::ResourceExhausted => ErrorKind::ResourceExhausted,
        WitErrorKind::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        WitErrorKind::Cancelled => ErrorKind::Cancelled,
        WitErrorKind::Unavailable => ErrorKind::Unavailable,
        WitErrorKind::Unsupported => ErrorKind::Unsupported,
        WitErrorKind::Internal => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_types_survive_the_way_to_the_guest_and_back() {
        for kind in ErrorKind::ALL {
            assert_eq!(core_kind(wit_kind(kind)), kind);
        }
        for ty in DataType::ALL {
            assert_eq!(data_type(tensor_type(ty)), ty);
        }
    }

    #[test]
    fn codes_that_guests_act_on_are_told_apart() {
        let code = |kind| nn_code(kind);
        assert_eq!(code(ErrorKind::PermissionDenied), ErrorCode::Security);
        assert_eq!(code(ErrorKind::NotFound), ErrorCode::NotFound);
        assert_eq!(code(ErrorKind::InvalidArgument), ErrorCode::InvalidArgument);
        assert_eq!(code(ErrorKind::DeadlineExceeded), ErrorCode::Timeout);
        assert_eq!(code(ErrorKind::TooLarge), ErrorCode::TooLarge);
        assert_eq!(code(ErrorKind::Internal), ErrorCode::RuntimeError);
    }
}
