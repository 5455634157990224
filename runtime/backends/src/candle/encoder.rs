//! A transformer encoder that is normalised after each residual, over packed rows: what BERT and its kin share.

use candle_core::{Module, Result, Tensor};
use candle_nn::LayerNorm;
use wisp_core::BackendError;

use super::activation::Activation;
use super::attention::Attention;
use super::config::EncoderConfig;
use super::linear::{Linear, Table};
use super::rows::PackedRows;
use super::weights::Weights;

/// A loaded encoder.
pub(super) struct Encoder {
    words: Table,
    positions: Table,
    /// `None` for architectures without token types.
    types: Option<Table>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

/// Token ids and what goes with them, each `u32 [tokens]`.
pub(super) struct Tokens {
    /// Ids, below the size of the vocabulary.
    pub(super) ids: Tensor,
    /// Token types, below the number of types; `None` for type 0 everywhere.
    pub(super) types: Option<Tensor>,
    /// Indices into the table of positions.
    pub(super) positions: Tensor,
}

/// One transformer block.
struct Layer {
    attention: Attention,
    attention_norm: LayerNorm,
    expand: Linear,
    activation: Activation,
    contract: Linear,
    output_norm: LayerNorm,
}

impl Encoder {
    /// Reads an encoder, whose tensors may stand under the prefix of its architecture or bare.
    ///
    /// # Errors
    /// [`BackendError`] naming the tensor that is missing or has another shape.
    pub(super) fn load(config: &EncoderConfig, weights: &Weights<'_>) -> std::result::Result<Self, BackendError> {
        let is_prefixed = weights.contains(&format!("{}embeddings.word_embeddings.weight", config.names.prefix));
        let prefix = if is_prefixed { config.names.prefix } else { "" };
        let width = config.hidden_size;
        let table = |name: &str, entries| weights.table(&format!("{prefix}embeddings.{name}"), entries, width);
        let layers = (0..config.layers)
            .map(|index| Layer::load(config, weights, &format!("{prefix}{}.{index}", config.names.layers)));
        Ok(Self {
            words: table("word_embeddings", config.vocabulary)?,
            positions: table("position_embeddings", config.positions)?,
            types: match config.token_types {
                0 => None,
                types => Some(table("token_type_embeddings", types)?),
            },
            norm: weights.norm(&format!("{prefix}embeddings.LayerNorm"), width, config.norm_epsilon)?,
            layers: layers.collect::<std::result::Result<_, _>>()?,
        })
    }

    /// Hidden states, `[tokens, hidden]`, of packed tokens.
    pub(super) fn forward(&self, tokens: &Tokens, rows: &PackedRows) -> Result<Tensor> {
        let mut embedded = (self.words.forward(&tokens.ids)? + self.positions.forward(&tokens.positions)?)?;
        if let Some(table) = &self.types {
            let types = match &tokens.types {
                Some(types) => types.clone(),
                None => tokens.ids.zeros_like()?,
            };
            embedded = (embedded + table.forward(&types)?)?;
        }
        let start = self.norm.forward(&embedded)?;
        self.layers.iter().try_fold(start, |hidden, layer| layer.forward(&hidden, rows))
    }
}

impl Layer {
    fn load(config: &EncoderConfig, weights: &Weights<'_>, path: &str) -> std::result::Result<Self, BackendError> {
        let (width, inner, names) = (config.hidden_size, config.inner_size, &config.names);
        let norm = |name: &str| weights.norm(&format!("{path}.{name}"), width, config.norm_epsilon);
        Ok(Self {
            attention: Attention::load(config, weights, path)?,
            attention_norm: norm(names.attention_norm)?,
            expand: weights.linear(&format!("{path}.{}", names.expand), width, inner)?,
            activation: config.activation,
            contract: weights.linear(&format!("{path}.{}", names.contract), inner, width)?,
            output_norm: norm(names.output_norm)?,
        })
    }

    fn forward(&self, hidden: &Tensor, rows: &PackedRows) -> Result<Tensor> {
        let attended = self.attention_norm.forward(&(self.attention.forward(hidden, rows)? + hidden)?)?;
        let expanded = self.activation.apply(&self.expand.forward(&attended)?)?;
        self.output_norm.forward(&(self.contract.forward(&expanded)? + attended)?)
    }
}
