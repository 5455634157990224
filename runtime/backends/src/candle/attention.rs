//! Scaled dot-product self-attention within each row of packed tokens (Vaswani et al. 2017, arXiv:1706.03762).

use candle_core::{D, DType, Result, Tensor};
use wisp_core::BackendError;

use super::config::EncoderConfig;
use super::linear::Linear;
use super::rows::{Group, PackedRows};
use super::weights::Weights;

/// The four maps of an attention block.
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl Attention {
    /// Reads the block of the layer at `path`.
    pub(super) fn load(
        config: &EncoderConfig,
        weights: &Weights<'_>,
        path: &str,
    ) -> std::result::Result<Self, BackendError> {
        let (width, names) = (config.hidden_size, &config.names);
        let square = |name: &str| weights.linear(&format!("{path}.{name}"), width, width);
        Ok(Self {
            query: square(names.query)?,
            key: square(names.key)?,
            value: square(names.value)?,
            output: square(names.attention_output)?,
            heads: config.heads,
        })
    }

    /// `[tokens, hidden]` to `[tokens, hidden]`. Rows of one length are multiplied together, so no mask and no padding is
    /// needed: padding to the longest row instead would cost its square for every row.
    pub(super) fn forward(&self, hidden: &Tensor, rows: &PackedRows) -> Result<Tensor> {
        let width = hidden.dim(D::Minus1)?;
        let scale = ((width / self.heads) as f64).sqrt().recip();
        // Scaling the query costs less than scaling the scores, and keeps them in the range of half precision.
        let query = (self.query.forward(hidden)? * scale)?;
        let key = self.key.forward(hidden)?;
        let value = self.value.forward(hidden)?;

        let attended = rows.groups.iter().map(|group| {
            let scores = self.split(&query, group)?.matmul(&self.split(&key, group)?.t()?)?;
            // In half precision the sum over a long row would lose its small terms.
            let weights = candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?.to_dtype(hidden.dtype())?;
            weights.matmul(&self.split(&value, group)?)?.transpose(1, 2)?.reshape((group.tokens.len(), width))
        });
        self.output.forward(&Tensor::cat(&attended.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The tokens of one group: `[rows * length, hidden]` to `[rows, heads, length, hidden / heads]`.
    fn split(&self, tensor: &Tensor, group: &Group) -> Result<Tensor> {
        let width = tensor.dim(D::Minus1)?;
        tensor
            .narrow(0, group.tokens.start, group.tokens.len())?
            .reshape((group.rows.len(), group.length, self.heads, width / self.heads))?
            .transpose(1, 2)?
            .contiguous()
    }
}
