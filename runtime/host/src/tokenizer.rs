//! The tokenizer of a model, as its manifest configures it.

mod offload;
mod prefix;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use offload::offload;
use prefix::Prefix;
use tokenizers::Tokenizer;
use tokio::sync::Semaphore;
use wisp_core::aligned::AlignedBuffer;
use wisp_core::{DataType, ErrorKind, Kinded, NamedTensor, Tensor, TensorError};

pub use tokens::Token;

/// Texts from which on a batch is encoded by several threads.
const PARALLEL_TEXTS: usize = 16;

/// Texts that are encoded between two looks at whether anybody still waits.
const BATCH_TEXTS: usize = 64;

/// A loaded tokenizer with what the manifest says about the model's inputs.
pub struct ModelTokenizer {
    tokenizer: Tokenizer,
    options: TokenizerOptions,
    prefix: Prefix,
    /// Every id is below.
    vocabulary: u32,
    /// One permit for each long list of texts that is being encoded: work that outlives its request keeps its permit, so that
    /// neither processors nor memory go to more of them than there are processors.
    permits: Arc<Semaphore>,
}

/// What a manifest says about tokenising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Longest input in tokens, special tokens included.
    pub max_tokens: usize,
    /// Input that takes the token ids, i64 `[rows, length]`.
    pub ids_input: String,
    /// Input that takes 1 for tokens and 0 for padding, i64 `[rows, length]`.
    pub mask_input: String,
    /// Input that takes the segment of each token, i64 `[rows, length]`; all 0 for single texts.
    pub types_input: Option<String>,
    /// Token id in padding.
    pub pad_id: i64,
}

/// Why a text cannot be tokenised.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be used.
    #[error("tokenizer {}: {reason}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A text is longer than the model takes, and truncation was not asked for.
    #[error(
        "text {index} has at least {tokens} tokens; the model takes at most {max_tokens}, ask for truncation or split it"
    )]
    TooLong {
        /// Which text, from 0.
        index: usize,
        /// Its length, as far as it was looked at.
        tokens: usize,
        /// The bound.
        max_tokens: usize,
    },
    /// A row that does not exist.
    #[error("row {row} does not exist; there are {rows}")]
    Row {
        /// The row.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// No rows were asked for.
    #[error("a batch needs at least one row")]
    NoRows,
    /// Nobody waits for the result any more.
    #[error("tokenizing was cancelled")]
    Cancelled,
    /// The library failed.
    #[error("tokenizing failed: {0}")]
    Library(String),
    /// The ids are no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Kinded for TokenizerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled => ErrorKind::Cancelled,
            Self::TooLong { .. } | Self::Row { .. } | Self::NoRows => ErrorKind::InvalidArgument,
            Self::File { .. } | Self::Library(_) | Self::Tensor(_) => ErrorKind::Internal,
        }
    }
}

impl ModelTokenizer {
    /// Reads a `tokenizer.json`. Truncation and padding stored in the file are reset: the manifest says how long an input
    /// may be, and rows are padded to the longest of their batch, never to a fixed length.
    ///
    /// # Errors
    /// [`TokenizerError::File`] when the file is missing or malformed.
    pub fn from_file(file: &Path, options: TokenizerOptions) -> Result<Self, TokenizerError> {
        let broken = |reason: String| TokenizerError::File { file: file.to_owned(), reason };
        let mut tokenizer = Tokenizer::from_file(file).map_err(|error| broken(error.to_string()))?;
        tokenizer.with_truncation(None).map_err(|error| broken(error.to_string()))?;
        tokenizer.with_padding(None);
        let prefix = Prefix::of(&tokenizer, options.max_tokens);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Ids may have gaps, so that their number says nothing about the last.
        let vocabulary = tokenizer.get_vocab(true).into_values().max().map_or(0, |last| last.saturating_add(1));
        Ok(Self { tokenizer, options, prefix, vocabulary, permits: Arc::new(Semaphore::new(processors)) })
    }

    /// What the manifest says.
    #[must_use]
    pub fn options(&self) -> &TokenizerOptions {
        &self.options
    }

    /// Every id is below, those of added tokens included.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// Token ids of each text.
    ///
    /// # Errors
    /// [`TokenizerError::TooLong`] for a text that is too long when `truncate` is not set.
    pub fn encode(&self, texts: Vec<String>, specials: bool, truncate: bool) -> Result<Vec<Vec<u32>>, TokenizerError> {
        self.encode_while_wanted(&texts, specials, truncate, &|| false)
    }

    /// As [`encode`](Self::encode), and ends early when `is_cancelled` says so; it is asked every few texts.
    ///
    /// # Errors
    /// As `encode`, and [`TokenizerError::Cancelled`].
    pub(crate) fn encode_while_wanted(
        &self,
        texts: &[String],
        specials: bool,
        truncate: bool,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Vec<u32>>, TokenizerError> {
        let mut rows = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH_TEXTS) {
            if is_cancelled() {
                return Err(TokenizerError::Cancelled);
            }
            if batch.len() >= PARALLEL_TEXTS && batch.iter().all(|text| self.prefix.holds(text)) {
                let texts = batch.iter().map(String::as_str).collect();
                let encodings = self.tokenizer.encode_batch_fast(texts, specials);
                for encoding in encodings.map_err(|error| TokenizerError::Library(error.to_string()))? {
                    rows.push(self.fit(rows.len(), &encoding, truncate)?);
                }
                continue;
            }
            for text in batch {
                if is_cancelled() {
                    return Err(TokenizerError::Cancelled);
                }
                let encoding = self.prefix.encode(&self.tokenizer, text, specials, is_cancelled)?;
                rows.push(self.fit(rows.len(), &encoding, truncate)?);
            }
        }
        Ok(rows)
    }

    /// Cuts one encoding to the model's maximum: the last tokens of the text go, the special token at its end stays.
    fn fit(&self, index: usize, encoding: &tokenizers::Encoding, truncate: bool) -> Result<Vec<u32>, TokenizerError> {
        let max_tokens = self.options.max_tokens;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() <= max_tokens {
            return Ok(ids);
        }
        if !truncate {
            return Err(TokenizerError::TooLong { index, tokens: ids.len(), max_tokens });
        }
        let trailing = encoding.get_special_tokens_mask().iter().rev().take_while(|&&special| special == 1).count();
        let kept = max_tokens.saturating_sub(trailing);
        ids.drain(kept..ids.len() - trailing);
        ids.truncate(max_tokens);
        Ok(ids)
    }

    /// Turns ids back into text, with special tokens or without.
    ///
    /// # Errors
    /// [`TokenizerError::Library`].
    pub fn decode(&self, ids: &[u32], skip_specials: bool) -> Result<String, TokenizerError> {
        self.tokenizer.decode(ids, skip_specials).map_err(|error| TokenizerError::Library(error.to_string()))
    }

    /// The model's inputs for these rows, padded to the longest of them: i64 `[rows, length]` each.
    ///
    /// # Errors
    /// [`TokenizerError::NoRows`] when there is none.
    pub fn tensors(&self, rows: &[&[u32]]) -> Result<Vec<NamedTensor>, TokenizerError> {
        let length =
            rows.iter().map(|row| row.len()).max().filter(|&length| length > 0).ok_or(TokenizerError::NoRows)?;
        let options = &self.options;
        let ids = fill(rows, length, options.pad_id, i64::from)?;
        let mask = fill(rows, length, 0, |_| 1)?;
        let mut inputs = vec![NamedTensor::new(&*options.ids_input, ids), NamedTensor::new(&*options.mask_input, mask)];
        if let Some(name) = &options.types_input {
            inputs.push(NamedTensor::new(&**name, fill(rows, length, 0, |_| 0)?));
        }
        Ok(inputs)
    }
}

impl std::fmt::Debug for ModelTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelTokenizer").field("options", &self.options).finish_non_exhaustive()
    }
}

/// An i64 tensor `[rows, length]` with `value` of each token, and `padding` after the end of a row.
fn fill(rows: &[&[u32]], length: usize, padding: i64, value: impl Fn(u32) -> i64) -> Result<Tensor, TensorError> {
    let mut buffer = AlignedBuffer::zeroed(rows.len() * length * size_of::<i64>());
    for (bytes, row) in buffer.as_mut_slice().chunks_exact_mut(length * size_of::<i64>()).zip(rows) {
        let values = row.iter().map(|&id| value(id)).chain(std::iter::repeat(padding));
        for (element, value) in bytes.chunks_exact_mut(size_of::<i64>()).zip(values) {
            element.copy_from_slice(&value.to_ne_bytes());
        }
    }
    Tensor::new(DataType::I64, &[rows.len(), length], buffer.freeze())
}
