//! The tensors of a safetensors file, each checked against the shape that `config.json` asks for.

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device as CandleDevice, Tensor};
use candle_nn::LayerNorm;
use wisp_core::{BackendError, LoadRequest};

use super::arithmetic::Arithmetic;
use super::linear::{Linear, Table};
use super::{load_error, model_error};

/// A file that is open for loading.
pub(super) struct Weights<'a> {
    request: &'a LoadRequest<'a>,
    file: MmapedSafetensors,
    arithmetic: Arithmetic,
    device: &'a CandleDevice,
}

impl<'a> Weights<'a> {
    /// Opens the file of `request` through a memory map, so that tensors are read from the page cache as they are converted.
    ///
    /// # Errors
    /// [`BackendError::Model`] when it is no safetensors file.
    #[expect(unsafe_code, reason = "a memory map of a file is only as immutable as the file")]
    pub(super) fn open(
        request: &'a LoadRequest<'a>,
        arithmetic: Arithmetic,
        device: &'a CandleDevice,
    ) -> Result<Self, BackendError> {
        // SAFETY: the map is read while loading only: every tensor is copied into memory of its own, and the map is dropped
        // with `Weights`. The file lies in the cache, where files are replaced by renaming and never written in place; one
        // that is truncated by somebody else in that window could raise SIGBUS, as with every user of mmap.
        let file = unsafe { MmapedSafetensors::new(request.file) };
        let file = file.map_err(|error| model_error(request, format!("cannot be read as safetensors: {error}")))?;
        Ok(Self { request, file, arithmetic, device })
    }

    /// Whether the file has this tensor.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.file.get(name).is_ok()
    }

    /// Bytes of all tensors of the file in the type that they will be held in.
    pub(super) fn size_bytes(&self) -> u64 {
        let element_bytes = self.arithmetic.weights.size_in_bytes();
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        self.file.tensors().iter().map(|(_, view)| (elements(view.shape()) * element_bytes) as u64).sum()
    }

    /// How many outputs the affine map `name` has.
    pub(super) fn outputs(&self, name: &str) -> Result<usize, BackendError> {
        let name = format!("{name}.weight");
        match self.file.get(&name).map(|view| view.shape().to_vec()).as_deref() {
            Ok(&[outputs, _]) if outputs > 0 => Ok(outputs),
            Ok(shape) => Err(self.refuse(format!("tensor `{name}` has shape {shape:?}; expected [labels, hidden]"))),
            Err(_) => Err(self.missing(&name)),
        }
    }

    /// `name.weight`, `[outputs, inputs]`, and `name.bias`, `[outputs]`.
    pub(super) fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, BackendError> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs], self.arithmetic.weights)?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs], self.arithmetic.activations)?;
        Ok(Linear::new(weight, bias))
    }

    /// `name.weight`, `[entries, width]`.
    pub(super) fn table(&self, name: &str, entries: usize, width: usize) -> Result<Table, BackendError> {
        let table = self.tensor(&format!("{name}.weight"), &[entries, width], self.arithmetic.weights)?;
        Ok(Table::new(table, self.arithmetic.activations))
    }

    /// `name.weight` and `name.bias`, `[width]` each; `gamma` and `beta` in files that were converted from TensorFlow.
    pub(super) fn norm(&self, name: &str, width: usize, epsilon: f64) -> Result<LayerNorm, BackendError> {
        let (scale, shift) = match self.contains(&format!("{name}.gamma")) {
            true => ("gamma", "beta"),
            false => ("weight", "bias"),
        };
        let vector = |part: &str| self.tensor(&format!("{name}.{part}"), &[width], self.arithmetic.activations);
        Ok(LayerNorm::new(vector(scale)?, vector(shift)?, epsilon))
    }

    /// A tensor of this shape, converted to `data_type` before it goes to the device.
    fn tensor(&self, name: &str, shape: &[usize], data_type: DType) -> Result<Tensor, BackendError> {
        let view = self.file.get(name).map_err(|_| self.missing(name))?;
        if view.shape() != shape {
            let actual = view.shape();
            return Err(self.refuse(format!("tensor `{name}` has shape {actual:?}; config.json asks for {shape:?}")));
        }
        match DType::try_from(view.dtype()) {
            Ok(DType::F32 | DType::F16 | DType::BF16 | DType::F64) => {}
            _ => {
                let actual = view.dtype();
                return Err(
                    self.refuse(format!("tensor `{name}` holds {actual:?}; this backend reads f32, f16, bf16, f64"))
                );
            }
        }
        let tensor = self.file.load(name, &CandleDevice::Cpu).and_then(|tensor| tensor.to_dtype(data_type));
        tensor
            .and_then(|tensor| tensor.to_device(self.device))
            .map_err(|error| load_error(self.request, &format!("tensor `{name}`"), &error))
    }

    fn missing(&self, name: &str) -> BackendError {
        self.refuse(format!("tensor `{name}` is missing; config.json and the weights are not of one model"))
    }

    fn refuse(&self, reason: String) -> BackendError {
        model_error(self.request, reason)
    }
}
