//! RoBERTa (Liu et al. 2019, arXiv:1907.11692) and XLM-RoBERTa: BERT with other names and positions counted past padding.

use super::activation::Activation;
use super::bert::{self, BertKeys};
use super::config::{EncoderConfig, HeadNames, Names};
use super::rows::Numbering;

/// BERT's tensors under a prefix of their own; the head does not use the pooler.
pub(super) const NAMES: Names = Names {
    prefix: "roberta.",
    head: HeadNames { dense: "classifier.dense", activation: Activation::Tanh, projection: "classifier.out_proj" },
    ..bert::NAMES
};

/// The padding token of every published checkpoint, for files that do not name it.
const PADDING: i64 = 1;

/// Reads `config.json` of a RoBERTa; `architecture` is its `model_type`.
///
/// # Errors
/// The key that is missing or not supported.
pub(super) fn config(architecture: &'static str, keys: serde_json::Value) -> Result<EncoderConfig, String> {
    let keys: BertKeys = serde_json::from_value(keys).map_err(|error| error.to_string())?;
    let id = keys.pad_token_id.unwrap_or(PADDING);
    let offset = usize::try_from(id).map_err(|_| format!("pad_token_id {id} is negative; {architecture} needs one"))?;
    keys.encoder(architecture, NAMES, Numbering::PastPadding { id: offset })
}
