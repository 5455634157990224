//! `wasi:nn/tensor`: a tensor behind a handle.

use bytes::Bytes;
use wasmtime::component::Resource;
use wisp_core::{DataType, Tensor, TensorError};

use crate::bindings::wasi::nn::tensor::{Host, HostTensor, TensorType};
use crate::convert::{data_type, tensor_type};
use crate::state::State;

/// A tensor as the guest holds it.
///
/// The proposal's constructor cannot fail, so a tensor whose bytes do not fit its shape exists until somebody computes
/// with it; then the guest is told `invalid-argument` and why.
pub struct NnTensor {
    dimensions: Vec<u32>,
    data_type: DataType,
    data: Bytes,
    checked: Result<Tensor, TensorError>,
}

impl NnTensor {
    /// From a guest: `data` was copied out of its memory once, and is not copied again unless it is misaligned.
    fn from_guest(dimensions: Vec<u32>, ty: TensorType, data: Vec<u8>) -> Self {
        let data_type = data_type(ty);
        let shape: Vec<usize> = dimensions.iter().map(|&axis| axis as usize).collect();
        let data = Bytes::from(data);
        let checked = Tensor::new(data_type, &shape, data.clone());
        Self { dimensions, data_type, data, checked }
    }

    /// From a backend or the tokenizer.
    pub(crate) fn from_host(tensor: Tensor) -> Self {
        // A longer axis cannot be told to a guest; its own 32-bit memory could not hold the tensor either.
        let dimensions = tensor.shape().iter().map(|&axis| u32::try_from(axis).unwrap_or(u32::MAX)).collect();
        Self { dimensions, data_type: tensor.data_type(), data: tensor.data().clone(), checked: Ok(tensor) }
    }

    /// The tensor, if bytes and shape agree.
    pub(crate) fn into_tensor(self) -> Result<Tensor, TensorError> {
        self.checked
    }

    fn size_bytes(&self) -> usize {
        self.data.len()
    }
}

impl State {
    /// Hands a tensor of the host to the guest. The bytes stay where they are.
    pub(crate) fn push_tensor(&mut self, tensor: Tensor) -> wasmtime::Result<Resource<NnTensor>> {
        self.reserve_tensor(tensor.data().len())?;
        self.push(NnTensor::from_host(tensor))
    }

    /// Takes a tensor back from the guest.
    pub(crate) fn take_tensor(&mut self, tensor: Resource<NnTensor>) -> wasmtime::Result<NnTensor> {
        let tensor = self.table.delete(tensor)?;
        self.release_tensor(tensor.size_bytes());
        Ok(tensor)
    }
}

impl Host for State {}

impl HostTensor for State {
    fn new(&mut self, dimensions: Vec<u32>, ty: TensorType, data: Vec<u8>) -> wasmtime::Result<Resource<NnTensor>> {
        self.reserve_tensor(data.len())?;
        self.push(NnTensor::from_guest(dimensions, ty, data))
    }

    fn dimensions(&mut self, tensor: Resource<NnTensor>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions.clone())
    }

    fn ty(&mut self, tensor: Resource<NnTensor>) -> wasmtime::Result<TensorType> {
        Ok(tensor_type(self.table.get(&tensor)?.data_type))
    }

    fn data(&mut self, tensor: Resource<NnTensor>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&tensor)?.data.to_vec())
    }

    fn drop(&mut self, tensor: Resource<NnTensor>) -> wasmtime::Result<()> {
        self.take_tensor(tensor)?;
        Ok(())
    }
}
