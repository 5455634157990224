//! The numbers of `wasi_ephemeral_nn`: errors, encodings, devices, element types.

use wisp_core::{DataType, ErrorKind, Kinded};

use crate::loading::{ExecutionTarget, GraphEncoding};

/// Which numbers a guest gives to element types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TensorTypes {
    /// Those of the proposal: f16 0, f32 1, f64 2, u8 3, i32 4, i64 5.
    #[default]
    Witx,
    /// Those of guests that were built for WasmEdge before 2025-03-31: f16 0, f32 1, u8 2, i32 3.
    OldWasmEdge,
}

impl TensorTypes {
    /// The type with this number.
    pub(crate) fn data_type(self, number: u8) -> Option<DataType> {
        use DataType::{F16, F32, F64, I32, I64, U8};
        let numbered: &[DataType] = match self {
            Self::Witx => &[F16, F32, F64, U8, I32, I64],
            Self::OldWasmEdge => &[F16, F32, U8, I32],
        };
        numbered.get(usize::from(number)).copied()
    }
}

/// The encoding with this number. WasmEdge's further ones are formats that nothing here reads.
pub(crate) fn encoding(number: u32) -> Option<GraphEncoding> {
    const ENCODINGS: [GraphEncoding; 6] = [
        GraphEncoding::OpenVino,
        GraphEncoding::Onnx,
        GraphEncoding::TensorFlow,
        GraphEncoding::PyTorch,
        GraphEncoding::TensorFlowLite,
        GraphEncoding::Autodetect,
    ];
    ENCODINGS.get(number as usize).copied()
}

/// The kind of device with this number. WasmEdge has a fourth, "auto": what is granted decides anyway.
pub(crate) fn target(number: u32) -> Option<ExecutionTarget> {
    match number {
        0 | 3 => Some(ExecutionTarget::Cpu),
        1 => Some(ExecutionTarget::Gpu),
        2 => Some(ExecutionTarget::Tpu),
        _ => None,
    }
}

/// An error number of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errno {
    InvalidArgument,
    InvalidEncoding,
    Busy,
    RuntimeError,
    UnsupportedOperation,
    TooLarge,
    NotFound,
}

impl Errno {
    /// What stands for no error.
    pub(crate) const SUCCESS: u32 = 0;

    /// Its number.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::InvalidArgument => 1,
            Self::InvalidEncoding => 2,
            Self::Busy => 4,
            Self::RuntimeError => 5,
            Self::UnsupportedOperation => 6,
            Self::TooLarge => 7,
            Self::NotFound => 8,
        }
    }

    /// The number for a failure. There is none for what is not granted: to a guest, that does not exist.
    pub(crate) fn of(error: &impl Kinded) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Self::NotFound,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::ResourceExhausted => Self::Busy,
            ErrorKind::Unsupported => Self::UnsupportedOperation,
            ErrorKind::DeadlineExceeded | ErrorKind::Cancelled | ErrorKind::Unavailable | ErrorKind::Internal => {
                Self::RuntimeError
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_numbers_of_the_proposal_or_of_older_guests() {
        let numbers = |types: TensorTypes| (0..7).map(|number| types.data_type(number)).collect::<Vec<_>>();
        use DataType::{F16, F32, F64, I32, I64, U8};
        assert_eq!(numbers(TensorTypes::Witx), [Some(F16), Some(F32), Some(F64), Some(U8), Some(I32), Some(I64), None]);
        assert_eq!(numbers(TensorTypes::OldWasmEdge)[..5], [Some(F16), Some(F32), Some(U8), Some(I32), None]);
    }

    #[test]
    fn what_is_not_granted_is_not_there() {
        assert_eq!(Errno::of(&crate::loading::LoadError::new(ErrorKind::PermissionDenied, "")), Errno::NotFound);
        assert_eq!(Errno::NotFound.number(), 8);
    }
}
