//! Sequence classification: from the first token of each row to logits.

use candle_core::{Result, Tensor};
use wisp_core::BackendError;

use super::activation::Activation;
use super::config::EncoderConfig;
use super::linear::Linear;
use super::rows::PackedRows;
use super::weights::Weights;

/// Two affine maps with a function between them, as all three architectures have them.
pub(super) struct Head {
    dense: Linear,
    activation: Activation,
    projection: Linear,
    /// How many logits a row has.
    pub(super) labels: usize,
}

impl Head {
    /// Reads the head. The number of labels is what the file has: `config.json` does not always say.
    ///
    /// # Errors
    /// [`BackendError`] naming the tensor that is missing or has another shape.
    pub(super) fn load(config: &EncoderConfig, weights: &Weights<'_>) -> std::result::Result<Self, BackendError> {
        let (width, names) = (config.hidden_size, &config.names.head);
        let labels = weights.outputs(names.projection)?;
        Ok(Self {
            dense: weights.linear(names.dense, width, width)?,
            activation: names.activation,
            projection: weights.linear(names.projection, width, labels)?,
            labels,
        })
    }

    /// Logits `[rows, labels]` from hidden states `[tokens, hidden]`, in the order of [`PackedRows::order`].
    pub(super) fn forward(&self, hidden: &Tensor, rows: &PackedRows) -> Result<Tensor> {
        let first = Tensor::new(rows.starts(), hidden.device())?;
        let first = hidden.index_select(&first, 0)?;
        self.projection.forward(&self.activation.apply(&self.dense.forward(&first)?)?)
    }
}
