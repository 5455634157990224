//! `wasi:nn/tensor`: a tensor behind a handle, copied once on its way in and once on its way out.

use bytes::Bytes;
use wasmtime::component::{Linker, Resource, WasmList};
use wasmtime::{Result, StoreContextMut};
use wisp_core::aligned::AlignedBuffer;
use wisp_core::{DataType, Tensor, TensorError};

use crate::bindings::wasi::nn::tensor::{Host, HostTensor, TensorType};
use crate::convert::{data_type, tensor_type};
use crate::state::State;

/// The interface, as the linker knows it.
const INTERFACE: &str = "wasi:nn/tensor@0.2.0-rc-2024-10-28";

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
    /// From a guest. `data` is aligned for every type, so that nothing copies it again.
    pub(crate) fn from_guest(dimensions: Vec<u32>, data_type: DataType, data: Bytes) -> Self {
        let shape: Vec<usize> = dimensions.iter().map(|&axis| axis as usize).collect();
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

    /// The tensor, if bytes and shape agree; the guest keeps its own.
    pub(crate) fn tensor(&self) -> Result<Tensor, TensorError> {
        self.checked.clone()
    }

    /// What the host keeps for it. Axes count, because a guest may name as many as fit its memory.
    fn size_bytes(&self) -> usize {
        size_bytes(self.dimensions.len(), self.data.len())
    }
}

fn size_bytes(axes: usize, data_bytes: usize) -> usize {
    data_bytes.saturating_add(axes.saturating_mul(size_of::<u32>()))
}

impl State {
    /// Hands a tensor of the host to the guest. The bytes stay where they are.
    pub(crate) fn push_tensor(&mut self, tensor: Tensor) -> Result<Resource<NnTensor>> {
        let tensor = NnTensor::from_host(tensor);
        self.account.reserve_tensor(tensor.size_bytes())?;
        self.push(tensor)
    }

    /// Takes a tensor back from the guest.
    pub(crate) fn take_tensor(&mut self, tensor: Resource<NnTensor>) -> Result<NnTensor> {
        let tensor = self.table.delete(tensor)?;
        self.account.release_tensor(tensor.size_bytes());
        Ok(tensor)
    }

    /// A tensor over bytes that were copied out of the guest's memory for it.
    fn new_tensor(&mut self, dimensions: Vec<u32>, ty: TensorType, data: Bytes) -> Result<Resource<NnTensor>> {
        self.account.copies.took_in(data.len());
        self.push(NnTensor::from_guest(dimensions, data_type(ty), data))
    }
}

/// Puts the two functions that move bytes in place of the generated ones, which copy twice in each direction: generated
/// code knows lists as vectors alone, from whose memory they are copied again.
pub(crate) fn link_without_copies(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("[constructor]tensor", construct)?;
    interface.func_wrap("[method]tensor.data", data)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn construct(
    mut store: StoreContextMut<'_, State>,
    (dimensions, ty, data): (Vec<u32>, TensorType, WasmList<u8>),
) -> Result<(Resource<NnTensor>,)> {
    let bytes = data.as_le_slice(&store).len();
    store.data_mut().account.reserve_tensor(size_bytes(dimensions.len(), bytes))?;
    // Straight from the guest's memory to where a session can read it.
    let data = AlignedBuffer::copy_of(data.as_le_slice(&store)).freeze();
    Ok((store.data_mut().new_tensor(dimensions, ty, data)?,))
}

fn data(mut store: StoreContextMut<'_, State>, (tensor,): (Resource<NnTensor>,)) -> Result<(Bytes,)> {
    let state = store.data_mut();
    let data = state.table.get(&tensor)?.data.clone();
    state.account.copies.gave_out(data.len());
    Ok((data,))
}

impl Host for State {}

/// What `bindgen!` asks for. The two that move bytes are shadowed by [`link_without_copies`].
impl HostTensor for State {
    fn new(&mut self, dimensions: Vec<u32>, ty: TensorType, data: Vec<u8>) -> Result<Resource<NnTensor>> {
        self.account.reserve_tensor(size_bytes(dimensions.len(), data.len()))?;
        self.new_tensor(dimensions, ty, data.into())
    }

    fn dimensions(&mut self, tensor: Resource<NnTensor>) -> Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions.clone())
    }

    fn ty(&mut self, tensor: Resource<NnTensor>) -> Result<TensorType> {
        Ok(tensor_type(self.table.get(&tensor)?.data_type))
    }

    fn data(&mut self, tensor: Resource<NnTensor>) -> Result<Vec<u8>> {
        Ok(self.table.get(&tensor)?.data.to_vec())
    }

    fn drop(&mut self, tensor: Resource<NnTensor>) -> Result<()> {
        self.take_tensor(tensor)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_takes_the_bytes_of_its_data_and_of_its_axes() {
        let tensor = NnTensor::from_guest(vec![0; 1000], DataType::U8, Bytes::from_static(b"data"));
        assert_eq!(tensor.size_bytes(), 4004);
        assert!(matches!(tensor.into_tensor(), Err(TensorError::Rank { rank: 1000 })));
    }
}
