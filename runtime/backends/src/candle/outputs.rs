//! From what was computed in packed order to tensors in the caller's order.

use wisp_core::aligned::AlignedBuffer;
use wisp_core::pooling::{normalize, pool};
use wisp_core::{BackendError, DataType, FusedOutput, Tensor};

use super::rows::PackedRows;

/// What one inference computed, in packed order.
pub(super) struct Computed {
    /// Which tokens and rows these are.
    pub(super) rows: PackedRows,
    /// Hidden states, `[tokens, hidden]`; empty when no output asks for them.
    pub(super) hidden: Vec<f32>,
    /// Logits, `[rows with tokens, labels]`; empty when no output asks for them.
    pub(super) logits: Vec<f32>,
}

impl Computed {
    /// Hidden states of `width` where the caller's tokens lay; zero where they were masked out. `token_shape` is the shape
    /// of the token arrays as the caller gave them.
    pub(super) fn hidden_states(&self, width: usize, token_shape: &[usize]) -> Result<Tensor, BackendError> {
        let tokens: usize = token_shape.iter().product();
        let mut buffer = AlignedBuffer::zeroed(tokens * width * size_of::<f32>());
        let values: &mut [f32] = bytemuck::cast_slice_mut(buffer.as_mut_slice());
        for (&source, state) in self.rows.sources.iter().zip(self.hidden.chunks_exact(width)) {
            values[source * width..][..width].copy_from_slice(state);
        }
        let shape = [token_shape, &[width]].concat();
        Ok(Tensor::new(DataType::F32, &shape, buffer.freeze())?)
    }

    /// One vector of `width` for each of `count` rows. A row without tokens has the zero vector.
    pub(super) fn pooled(&self, fused: &FusedOutput, width: usize, count: usize) -> Result<Tensor, BackendError> {
        let mut values = vec![0.0_f32; count * width];
        for group in &self.rows.groups {
            let states = &self.hidden[group.tokens.start * width..group.tokens.end * width];
            for (&row, states) in group.rows.iter().zip(states.chunks_exact(group.length * width)) {
                let vector = &mut values[row * width..][..width];
                pool(states, fused.pooling, vector);
                if fused.is_normalized {
                    normalize(vector);
                }
            }
        }
        Ok(Tensor::from_slice(&[count, width], &values)?)
    }

    /// Logits of each of `count` rows. A row without tokens has zeros.
    pub(super) fn logits(&self, labels: usize, count: usize) -> Result<Tensor, BackendError> {
        let mut values = vec![0.0_f32; count * labels];
        for (row, logits) in self.rows.order().zip(self.logits.chunks_exact(labels)) {
            values[row * labels..][..labels].copy_from_slice(logits);
        }
        Ok(Tensor::from_slice(&[count, labels], &values)?)
    }
}
