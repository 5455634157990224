//! Affine maps and look-up tables whose weights may be held in a narrower type than is computed in.

use candle_core::{DType, Result, Tensor};

/// `y = x Wᵀ + b`.
pub(super) struct Linear {
    /// `[outputs, inputs]`, in the type of the weights.
    weight: Tensor,
    /// `[outputs]`, in the type of the activations.
    bias: Tensor,
}

/// A table of vectors by index.
pub(super) struct Table {
    /// `[entries, width]`, in the type of the weights.
    entries: Tensor,
    activations: DType,
}

impl Linear {
    pub(super) fn new(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    /// `[tokens, inputs]` to `[tokens, outputs]`.
    pub(super) fn forward(&self, values: &Tensor) -> Result<Tensor> {
        // Does nothing where the two types are one.
        let weight = self.weight.to_dtype(values.dtype())?;
        values.matmul(&weight.t()?)?.broadcast_add(&self.bias)
    }
}

impl Table {
    pub(super) fn new(entries: Tensor, activations: DType) -> Self {
        Self { entries, activations }
    }

    /// `u32 [tokens]` to `[tokens, width]`; every index must be below the number of entries.
    pub(super) fn forward(&self, indices: &Tensor) -> Result<Tensor> {
        self.entries.index_select(indices, 0)?.to_dtype(self.activations)
    }
}
