//! DistilBERT (Sanh et al. 2019, arXiv:1910.01108): half of BERT's layers, no token types, and names of its own.

use serde::Deserialize;

use super::activation::Activation;
use super::config::{EncoderConfig, HeadNames, Names};
use super::rows::Numbering;

/// The tensors of the reference checkpoints.
pub(super) const NAMES: Names = Names {
    prefix: "distilbert.",
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    expand: "ffn.lin1",
    contract: "ffn.lin2",
    output_norm: "output_layer_norm",
    head: HeadNames { dense: "pre_classifier", activation: Activation::Relu, projection: "classifier" },
};

/// The only ε there is: the reference implementation has no key for it.
const NORM_EPSILON: f64 = 1e-12;

#[derive(Debug, Deserialize)]
struct DistilBertKeys {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: String,
    max_position_embeddings: usize,
}

/// Reads `config.json` of a DistilBERT.
///
/// # Errors
/// The key that is missing or not supported.
pub(super) fn config(keys: serde_json::Value) -> Result<EncoderConfig, String> {
    let keys: DistilBertKeys = serde_json::from_value(keys).map_err(|error| error.to_string())?;
    Ok(EncoderConfig {
        names: NAMES,
        numbering: Numbering::FromZero,
        vocabulary: keys.vocab_size,
        hidden_size: keys.dim,
        layers: keys.n_layers,
        heads: keys.n_heads,
        inner_size: keys.hidden_dim,
        activation: Activation::parse("activation", &keys.activation)?,
        positions: keys.max_position_embeddings,
        token_types: 0,
        norm_epsilon: NORM_EPSILON,
    })
}
