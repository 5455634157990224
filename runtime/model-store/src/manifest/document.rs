//! The manifest as TOML: keys and types, with the place of every value that is checked later.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use wisp_core::{DataType, ModelFormat, Pooling, Precision};

use super::{Exporter, Task};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) name: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) license: Spanned<String>,
    pub(super) task: Spanned<Task>,
    pub(super) description: String,
    pub(super) labels: Option<Spanned<Vec<String>>>,
    pub(super) labels_file: Option<Spanned<String>>,
    pub(super) sources: Spanned<Vec<SourceTable>>,
    pub(super) files: Spanned<Vec<FileTable>>,
    pub(super) signature: SignatureTable,
    pub(super) batching: BatchingTable,
    pub(super) ragged: Option<RaggedTable>,
    pub(super) tokenizer: Option<TokenizerTable>,
    pub(super) embedding: Option<Spanned<EmbeddingTable>>,
    pub(super) golden: Option<Spanned<GoldenTable>>,
    #[serde(default)]
    pub(super) prompts: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) default_prompt: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SourceTable {
    Wheel(WheelTable),
    Hub(HubTable),
    File(FileSourceTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WheelTable {
    pub(super) package: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) size_bytes: Spanned<u64>,
    pub(super) sha256: Spanned<String>,
    #[serde(default)]
    pub(super) prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubTable {
    pub(super) repository: Spanned<String>,
    pub(super) revision: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSourceTable {
    pub(super) path: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTable {
    pub(super) path: Spanned<String>,
    pub(super) size_bytes: Spanned<u64>,
    pub(super) sha256: Spanned<String>,
    pub(super) format: Option<Spanned<ModelFormat>>,
    pub(super) precision: Option<Spanned<Precision>>,
    /// Read by the check: an error of serde inside an array has the place of the array.
    pub(super) backends: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) architecture: Option<Spanned<String>>,
    pub(super) weights: Option<Spanned<String>>,
    pub(super) derived: Option<Spanned<DerivedTable>>,
    pub(super) source_path: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DerivedTable {
    pub(super) exporter: Spanned<Exporter>,
    pub(super) from: Spanned<String>,
    pub(super) config: Spanned<String>,
    pub(super) ranges: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureTable {
    pub(super) inputs: Spanned<Vec<TensorTable>>,
    pub(super) outputs: Spanned<Vec<TensorTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorTable {
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) data_type: DataType,
    pub(super) shape: Spanned<Vec<Spanned<i64>>>,
    pub(super) below: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchingTable {
    pub(super) batch_axis: Spanned<usize>,
    pub(super) max_batch_rows: Spanned<u32>,
    pub(super) max_batch_tokens: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RaggedTable {
    pub(super) axis: Spanned<usize>,
    pub(super) mask_input: Spanned<String>,
    pub(super) pad_values: Spanned<BTreeMap<Spanned<String>, f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenizerTable {
    pub(super) file: Spanned<String>,
    pub(super) max_tokens: Spanned<usize>,
    pub(super) ids_input: Spanned<String>,
    pub(super) mask_input: Spanned<String>,
    pub(super) types_input: Option<Spanned<String>>,
    pub(super) pad_id: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingTable {
    pub(super) dimensions: Spanned<usize>,
    pub(super) pooling: Pooling,
    pub(super) normalized: bool,
    pub(super) fused_output: Option<Spanned<String>>,
    pub(super) hidden_output: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoldenTable {
    pub(super) texts: Option<Spanned<String>>,
    pub(super) vectors: Option<Spanned<String>>,
    pub(super) tensors: Option<Spanned<GoldenTensorsTable>>,
    pub(super) tolerance: Spanned<BTreeMap<Precision, ToleranceTable>>,
    pub(super) batching: Option<ToleranceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoldenTensorsTable {
    pub(super) inputs: Spanned<BTreeMap<Spanned<String>, Spanned<String>>>,
    pub(super) outputs: Spanned<BTreeMap<Spanned<String>, Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToleranceTable {
    pub(super) min_cosine: Spanned<f64>,
    pub(super) max_abs_error: Spanned<f64>,
}
