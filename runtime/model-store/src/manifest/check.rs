//! What TOML types cannot say about a manifest: that its parts fit each other.

mod files;
mod golden;
mod labels;
mod prompts;
mod sources;
mod tensors;

use std::path::Path;

use toml::Spanned;

use super::document::{BatchingTable, Document};
use super::{Batching, Manifest, ManifestError, Task};
use crate::Sha256Digest;

/// The longest name of a model, version or package.
const NAME_LIMIT_BYTES: usize = 64;

/// Turns a document into a manifest, and every misfit into an error with its place.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) origin: &'a Path,
}

type Checked<T> = Result<T, ManifestError>;

impl Checker<'_> {
    /// The whole manifest.
    pub(super) fn manifest(&self, document: Document) -> Checked<Manifest> {
        let signature = self.signature(&document.signature)?;
        let files = self.files(&document.files)?;
        let embedding = document.embedding.map(|table| self.embedding(table, &signature)).transpose()?;
        let task = *document.task.get_ref();
        if task == Task::Embedding && embedding.is_none() {
            return Err(self.error(&document.task, "a model for task `embedding` needs the table [embedding]"));
        }
        let prompts = self.prompts(document.prompts)?;
        Ok(Manifest {
            name: self.name("name", document.name)?,
            version: self.name("version", document.version)?,
            license: self.not_empty("license", document.license)?,
            task,
            description: document.description,
            sources: self.sources(document.sources)?,
            ragged: document.ragged.map(|table| self.ragged(table, &signature)).transpose()?,
            tokenizer: document.tokenizer.map(|table| self.tokenizer(table, &signature, &files)).transpose()?,
            labels_file: self.labels_file(document.labels_file, document.labels.as_ref(), &files)?,
            labels: document.labels.map(Spanned::into_inner).unwrap_or_default(),
            batching: self.batching(&document.batching)?,
            golden: document.golden.map(|table| self.golden(table, embedding.as_ref(), &signature)).transpose()?,
            default_prompt: self.default_prompt(document.default_prompt, &prompts)?,
            prompts,
            signature,
            files,
            embedding,
        })
    }

    /// The error at `place`.
    fn error<T>(&self, place: &Spanned<T>, reason: impl Into<String>) -> ManifestError {
        ManifestError::at(self.origin, self.text, Some(place.span()), reason)
    }

    fn not_empty(&self, key: &str, value: Spanned<String>) -> Checked<String> {
        match value.get_ref().trim() {
            "" => Err(self.error(&value, format!("{key} is empty"))),
            _ => Ok(value.into_inner()),
        }
    }

    /// A name that is safe as the name of a folder: it becomes one in the cache.
    fn name(&self, key: &str, value: Spanned<String>) -> Checked<String> {
        let name = value.get_ref();
        if is_name(name) {
            return Ok(value.into_inner());
        }
        let reason = format!(
            "{key} `{name}` must be 1 to {NAME_LIMIT_BYTES} of a-z, 0-9, `-`, `_` and `.`, and start with a letter or digit"
        );
        Err(self.error(&value, reason))
    }

    fn digest(&self, value: &Spanned<String>) -> Checked<Sha256Digest> {
        value.get_ref().parse().map_err(|error: crate::DigestError| self.error(value, error.to_string()))
    }

    fn positive<T: Copy + PartialEq + From<u8>>(&self, key: &str, value: &Spanned<T>) -> Checked<T> {
        if *value.get_ref() == T::from(0) {
            return Err(self.error(value, format!("{key} must be at least 1")));
        }
        Ok(*value.get_ref())
    }

    fn batching(&self, table: &BatchingTable) -> Checked<Batching> {
        if *table.batch_axis.get_ref() != 0 {
            return Err(self.error(&table.batch_axis, "batch_axis must be 0: rows are cut out of the outermost axis"));
        }
        Ok(Batching {
            batch_axis: 0,
            max_batch_rows: self.positive("max_batch_rows", &table.max_batch_rows)?,
            max_batch_tokens: self.positive("max_batch_tokens", &table.max_batch_tokens)?,
        })
    }
}

/// Whether this can be the name of a model: it begins with no dot and holds no separator.
pub(crate) fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    name.len() <= NAME_LIMIT_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(is_inner)
}

/// Names as a list for messages: `a`, `b`.
fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
