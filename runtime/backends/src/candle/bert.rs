//! BERT (Devlin et al. 2018, arXiv:1810.04805): its keys in `config.json` and its tensors.

use serde::Deserialize;

use super::activation::Activation;
use super::config::{EncoderConfig, HeadNames, Names};
use super::rows::Numbering;

/// The tensors of the reference checkpoints.
pub(super) const NAMES: Names = Names {
    prefix: "bert.",
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    expand: "intermediate.dense",
    contract: "output.dense",
    output_norm: "output.LayerNorm",
    head: HeadNames { dense: "bert.pooler.dense", activation: Activation::Tanh, projection: "classifier" },
};

/// The keys that the arithmetic depends on; RoBERTa has the same.
#[derive(Debug, Deserialize)]
pub(super) struct BertKeys {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(default)]
    pub(super) pad_token_id: Option<i64>,
}

impl BertKeys {
    /// The encoder that these keys describe.
    ///
    /// # Errors
    /// What differs from an encoder that this backend computes.
    pub(super) fn encoder(
        self,
        architecture: &'static str,
        names: Names,
        numbering: Numbering,
    ) -> Result<EncoderConfig, String> {
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|&kind| kind != "absolute") {
            return Err(format!("position_embedding_type `{kind}` is not supported; this backend has absolute"));
        }
        if self.is_decoder {
            return Err(
                "is_decoder is true; this backend runs encoders, in which every token sees every other".to_owned()
            );
        }
        if self.type_vocab_size == 0 {
            return Err(format!("type_vocab_size is 0; {architecture} has at least one token type"));
        }
        Ok(EncoderConfig {
            names,
            numbering,
            vocabulary: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            inner_size: self.intermediate_size,
            activation: Activation::parse("hidden_act", &self.hidden_act)?,
            positions: self.max_position_embeddings,
            token_types: self.type_vocab_size,
            norm_epsilon: self.layer_norm_eps,
        })
    }
}

/// Reads `config.json` of a BERT.
///
/// # Errors
/// The key that is missing or not supported.
pub(super) fn config(keys: serde_json::Value) -> Result<EncoderConfig, String> {
    let keys: BertKeys = serde_json::from_value(keys).map_err(|error| error.to_string())?;
    keys.encoder("bert", NAMES, Numbering::FromZero)
}
