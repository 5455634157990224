//! The BERT encoder (Devlin et al. 2018, arXiv:1810.04805) over packed rows.
//!
//! Tensor names are those of the reference checkpoints, with or without the prefix `bert.`.

use candle_core::{D, Module, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, VarBuilder, embedding, layer_norm, linear};
use serde::Deserialize;

use super::rows::PackedRows;

/// The keys of `config.json` that the arithmetic depends on.
#[derive(Debug, Deserialize)]
pub(super) struct BertConfig {
    model_type: String,
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    layer_norm_eps: f64,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

impl BertConfig {
    /// Refuses architectures that would load and compute something else.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let heads = self.num_attention_heads;
        if self.model_type != "bert" {
            return Err(format!("model_type `{}` is not supported; this backend runs bert", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return Err(format!("hidden_act `{}` is not supported; this backend has gelu", self.hidden_act));
        }
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|&kind| kind != "absolute") {
            return Err(format!("position_embedding_type `{kind}` is not supported; this backend has absolute"));
        }
        if heads == 0 || !self.hidden_size.is_multiple_of(heads) || self.hidden_size == 0 {
            return Err(format!("hidden_size {} is not a multiple of num_attention_heads {heads}", self.hidden_size));
        }
        Ok(())
    }
}

/// A loaded encoder.
pub(super) struct Bert {
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

/// One transformer block, normalised after each residual.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: usize,
}

impl Bert {
    pub(super) fn load(config: &BertConfig, weights: &VarBuilder<'_>) -> Result<Self> {
        let weights = match weights.contains_tensor("bert.embeddings.word_embeddings.weight") {
            true => weights.pp("bert"),
            false => weights.clone(),
        };
        let (hidden, eps) = (config.hidden_size, config.layer_norm_eps);
        let embeddings = weights.pp("embeddings");
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(config, &weights.pp("encoder.layer").pp(index)))
            .collect::<Result<_>>()?;
        Ok(Self {
            words: embedding(config.vocab_size, hidden, embeddings.pp("word_embeddings"))?,
            positions: embedding(config.max_position_embeddings, hidden, embeddings.pp("position_embeddings"))?,
            types: embedding(config.type_vocab_size, hidden, embeddings.pp("token_type_embeddings"))?,
            norm: layer_norm(hidden, eps, embeddings.pp("LayerNorm"))?,
            layers,
        })
    }

    /// Hidden states `[tokens, hidden]` of packed tokens; `ids`, `types` and `positions` are `u32 [tokens]`.
    pub(super) fn forward(
        &self,
        ids: &Tensor,
        types: &Tensor,
        positions: &Tensor,
        rows: &PackedRows,
    ) -> Result<Tensor> {
        let embedded = (self.words.forward(ids)? + self.positions.forward(positions)?)?;
        let embedded = (embedded + self.types.forward(types)?)?;
        let start = self.norm.forward(&embedded)?;
        self.layers.iter().try_fold(start, |hidden, layer| layer.forward(&hidden, rows))
    }
}

impl Layer {
    fn load(config: &BertConfig, weights: &VarBuilder<'_>) -> Result<Self> {
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.pp("attention");
        Ok(Self {
            query: linear(hidden, hidden, attention.pp("self.query"))?,
            key: linear(hidden, hidden, attention.pp("self.key"))?,
            value: linear(hidden, hidden, attention.pp("self.value"))?,
            attention_output: linear(hidden, hidden, attention.pp("output.dense"))?,
            attention_norm: layer_norm(hidden, eps, attention.pp("output.LayerNorm"))?,
            intermediate: linear(hidden, inner, weights.pp("intermediate.dense"))?,
            output: linear(inner, hidden, weights.pp("output.dense"))?,
            output_norm: layer_norm(hidden, eps, weights.pp("output.LayerNorm"))?,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, hidden: &Tensor, rows: &PackedRows) -> Result<Tensor> {
        let attended = self.attention_output.forward(&self.attention(hidden, rows)?)?;
        let attended = self.attention_norm.forward(&(attended + hidden)?)?;
        let expanded = self.intermediate.forward(&attended)?.gelu_erf()?;
        self.output_norm.forward(&(self.output.forward(&expanded)? + attended)?)
    }

    /// Scaled dot-product attention within each row; rows of one length are multiplied together.
    fn attention(&self, hidden: &Tensor, rows: &PackedRows) -> Result<Tensor> {
        let query = self.query.forward(hidden)?;
        let key = self.key.forward(hidden)?;
        let value = self.value.forward(hidden)?;
        let width = hidden.dim(D::Minus1)?;
        let scale = ((width / self.heads) as f64).sqrt().recip();

        let attended = rows.groups.iter().map(|group| {
            // [rows * length, hidden] -> [rows, heads, length, hidden / heads]
            let split = |tensor: &Tensor| {
                tensor
                    .narrow(0, group.tokens.start, group.tokens.len())?
                    .reshape((group.rows.len(), group.length, self.heads, width / self.heads))?
                    .transpose(1, 2)?
                    .contiguous()
            };
            let scores = (split(&query)?.matmul(&split(&key)?.t()?)? * scale)?;
            let weights = candle_nn::ops::softmax_last_dim(&scores)?;
            weights.matmul(&split(&value)?)?.transpose(1, 2)?.reshape((group.tokens.len(), width))
        });
        Tensor::cat(&attended.collect::<Result<Vec<_>>>()?, 0)
    }
}
