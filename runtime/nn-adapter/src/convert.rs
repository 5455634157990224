//! Between the crate's tensors and those of the core: what guests bring is checked here, before anything else sees it.

use bytes::Bytes;
use wasmtime_wasi_nn::backend::NamedTensor as GuestNamedTensor;
use wasmtime_wasi_nn::wit::{Tensor as GuestTensor, TensorType};
use wisp_core::aligned::AlignedBuffer;
use wisp_core::{DataType, NamedTensor, Tensor};

use crate::AdapterError;

/// A tensor that the guest keeps, copied.
pub(crate) fn borrowed(name: &str, tensor: &GuestTensor) -> Result<NamedTensor, AdapterError> {
    checked(name, tensor.ty, &tensor.dimensions, AlignedBuffer::copy_of(&tensor.data).freeze())
}

/// A tensor that the guest gave away. Its bytes are copied only where they lie wrong for their type.
pub(crate) fn owned(input: GuestNamedTensor) -> Result<NamedTensor, AdapterError> {
    let GuestNamedTensor { name, tensor } = input;
    checked(&name, tensor.ty, &tensor.dimensions, Bytes::from(tensor.data))
}

/// A tensor for the guest.
pub(crate) fn returned(output: &NamedTensor) -> Result<GuestTensor, AdapterError> {
    let axis = |&axis: &usize| u32::try_from(axis).map_err(|_| AdapterError::Axis { name: output.name.clone(), axis });
    let dimensions = output.tensor.shape().iter().map(axis).collect::<Result<_, _>>()?;
    Ok(GuestTensor::new(dimensions, tensor_type(output.tensor.data_type()), output.tensor.data().to_vec()))
}

fn checked(name: &str, ty: TensorType, dimensions: &[u32], data: Bytes) -> Result<NamedTensor, AdapterError> {
    let shape: Vec<usize> = dimensions.iter().map(|&axis| axis as usize).collect();
    match Tensor::new(data_type(ty), &shape, data) {
        Ok(tensor) => Ok(NamedTensor::new(name, tensor)),
        Err(source) => Err(AdapterError::Malformed { name: name.to_owned(), source }),
    }
}

fn data_type(ty: TensorType) -> DataType {
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

fn tensor_type(data_type: DataType) -> TensorType {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_goes_there_and_back() {
        for expected in DataType::ALL {
            assert_eq!(data_type(tensor_type(expected)), expected);
        }
    }
}
