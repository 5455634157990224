//! Tensors of Wisp and values of ONNX Runtime, each as a view of the other's memory.

use bytes::Bytes;
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef};
use wisp_core::{BackendError, BackendId, DataType, Element, Tensor};

use super::failure;

/// The Wisp type of an ONNX element type, if there is one.
pub(super) fn data_type(element: TensorElementType) -> Option<DataType> {
    Some(match element {
        TensorElementType::Float16 => DataType::F16,
        TensorElementType::Bfloat16 => DataType::Bf16,
        TensorElementType::Float32 => DataType::F32,
        TensorElementType::Float64 => DataType::F64,
        TensorElementType::Uint8 => DataType::U8,
        TensorElementType::Int32 => DataType::I32,
        TensorElementType::Int64 => DataType::I64,
        _ => return None,
    })
}

/// An input value over the tensor's own memory. ONNX Runtime only reads inputs.
pub(super) fn borrow(tensor: &Tensor) -> Result<SessionInputValue<'_>, BackendError> {
    match tensor.data_type() {
        DataType::F16 => borrow_as::<f16>(tensor),
        DataType::Bf16 => borrow_as::<bf16>(tensor),
        DataType::F32 => borrow_as::<f32>(tensor),
        DataType::F64 => borrow_as::<f64>(tensor),
        DataType::U8 => borrow_as::<u8>(tensor),
        DataType::I32 => borrow_as::<i32>(tensor),
        DataType::I64 => borrow_as::<i64>(tensor),
    }
}

fn borrow_as<T>(tensor: &Tensor) -> Result<SessionInputValue<'_>, BackendError>
where
    T: Element + PrimitiveTensorElementType + std::fmt::Debug,
{
    let view = tensor.view::<T>()?;
    let value = TensorRef::from_array_view((tensor.shape(), view)).map_err(|error| failure::general(&error))?;
    Ok(value.into())
}

/// Takes over an output: the tensor keeps the value alive and reads its memory in place.
pub(super) fn into_tensor(value: DynValue) -> Result<Tensor, BackendError> {
    let unsupported = |what: String| BackendError::Unsupported { backend: BackendId::Ort, what };
    let element = value.dtype().tensor_type().ok_or_else(|| unsupported(format!("output type {}", value.dtype())))?;
    match data_type(element) {
        Some(DataType::F16) => own_as::<f16>(value),
        Some(DataType::Bf16) => own_as::<bf16>(value),
        Some(DataType::F32) => own_as::<f32>(value),
        Some(DataType::F64) => own_as::<f64>(value),
        Some(DataType::U8) => own_as::<u8>(value),
        Some(DataType::I32) => own_as::<i32>(value),
        Some(DataType::I64) => own_as::<i64>(value),
        None => Err(unsupported(format!("output type {element}"))),
    }
}

/// The bytes of an output tensor in host memory, owned together with the value that holds them.
struct Output<T> {
    value: DynValue,
    marker: std::marker::PhantomData<fn() -> T>,
}

impl<T: Element + PrimitiveTensorElementType> AsRef<[u8]> for Output<T> {
    fn as_ref(&self) -> &[u8] {
        // `own_as` checked that this succeeds, and nothing changes the value afterwards; an empty slice instead of a
        // panic would still be caught by the length check of `Tensor::new`.
        self.value.try_extract_tensor::<T>().map_or(&[], |(_, elements)| as_bytes(elements))
    }
}

fn as_bytes<T: Element>(elements: &[T]) -> &[u8] {
    bytemuck::cast_slice(elements)
}

fn own_as<T: Element + PrimitiveTensorElementType>(value: DynValue) -> Result<Tensor, BackendError> {
    let (shape, _) = value.try_extract_tensor::<T>().map_err(|error| failure::general(&error))?;
    let shape = shape
        .iter()
        .map(|&axis| usize::try_from(axis))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| BackendError::Run { backend: BackendId::Ort, reason: format!("output has shape {shape}") })?;
    let bytes = Bytes::from_owner(Output::<T> { value, marker: std::marker::PhantomData });
    Ok(Tensor::new(T::DATA_TYPE, &shape, bytes)?)
}
