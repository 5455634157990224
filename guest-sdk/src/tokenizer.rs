//! The tokenizer of a granted model, run by the host.
//!
//! Using it imports `wisp:inference/tokenizer`; a guest that must run on any WASI-NN host carries its own.

use crate::bindings::wisp::inference::tokenizer;
use crate::error::Error;
use crate::tensor::NamedTensor;

pub use tokenizer::EncodeOptions;

/// The tokenizer of the model granted under an alias.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    alias: String,
}

/// Encoded texts. The token ids stay with the host until they are asked for.
pub struct Encoding {
    encoding: tokenizer::Encoding,
}

impl Tokenizer {
    /// The tokenizer of the model granted under `alias`. Nothing is loaded or checked before the first call.
    pub fn of(alias: impl Into<String>) -> Self {
        Self { alias: alias.into() }
    }

    /// Encodes a batch of texts.
    ///
    /// # Errors
    /// The host's: a model that is unknown or not granted, or a text that is too long while `options.truncate` is off.
    pub fn encode(&self, texts: &[String], options: EncodeOptions) -> Result<Encoding, Error> {
        Ok(Encoding { encoding: tokenizer::encode(&self.alias, texts, options)? })
    }

    /// Turns token ids back into text, leaving special tokens out.
    ///
    /// # Errors
    /// The host's: a model that is unknown or not granted, or an id outside the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        Ok(tokenizer::decode(&self.alias, tokens)?)
    }
}

impl Encoding {
    /// Tokens of each text, special tokens included, after truncation.
    #[must_use]
    pub fn token_counts(&self) -> Vec<u32> {
        self.encoding.token_counts()
    }

    /// The named inputs of the model for these rows, padded to the longest of them, ready for
    /// [`Model::compute`](crate::Model::compute). They never enter guest memory.
    ///
    /// # Errors
    /// The host's: a row that does not exist.
    pub fn tensors(&self, rows: &[u32]) -> Result<Vec<NamedTensor>, Error> {
        Ok(self.encoding.tensors(rows)?)
    }

    /// The token ids of one row.
    ///
    /// # Errors
    /// The host's: a row that does not exist.
    pub fn token_ids(&self, row: u32) -> Result<Vec<u32>, Error> {
        Ok(self.encoding.token_ids(row)?)
    }
}
