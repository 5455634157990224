//! The ready-made embedder for any WASI-NN host: the guest tokenises and pools itself.

use crate::batched::{self, Bounds, Readout};
use crate::embedder::{Embeddings, Options, fit_tokens};
use crate::error::Error;
use crate::model::Model;
use crate::models::Pooling;
use crate::padded::PaddedRows;
use crate::tensor::DataType;

/// What a guest knows about its model when no host describes it.
#[derive(Clone, Copy, Debug)]
pub struct TokenModel {
    /// Names and element types of all inputs, each `[rows, tokens]`; see [`PaddedRows::tensors`] for those that there are.
    pub inputs: &'static [(&'static str, DataType)],
    /// Name of the output `[rows, tokens, dimensions]`.
    pub hidden_states: &'static str,
    /// How the hidden states of a row become its vector.
    pub pooling: Pooling,
    /// Longest row in tokens, special tokens included.
    pub max_tokens: u32,
    /// Largest *rows × longest row* of one computation. It bounds guest memory: hidden states take
    /// `4 × dimensions` bytes a token.
    pub max_batch_tokens: u32,
}

impl TokenModel {
    /// Sentence transformers of the BERT class as they are commonly exported: `i64` inputs, mean pooling, 256 tokens. Batches
    /// of 4,096 tokens take 6 MiB of guest memory at 384 dimensions.
    pub const BERT: Self = Self {
        inputs: &[("input_ids", DataType::I64), ("attention_mask", DataType::I64), ("token_type_ids", DataType::I64)],
        hidden_states: "last_hidden_state",
        pooling: Pooling::Mean,
        max_tokens: 256,
        max_batch_tokens: 4096,
    };
}

/// Embeds token ids with a granted model, pooling and normalising in the guest. Imports nothing but `wasi:nn`.
pub struct TokenEmbedder {
    model: Model,
    facts: TokenModel,
}

impl TokenEmbedder {
    /// Loads the model that is granted under `alias`, of which `facts` are known.
    ///
    /// # Errors
    /// The host's: a model that is unknown, not granted or not loadable.
    pub fn load(alias: &str, facts: TokenModel) -> Result<Self, Error> {
        Ok(Self { model: Model::load(alias)?, facts })
    }

    /// Embeds rows of token ids that carry their special tokens; none of them empty.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) for a long row while `options.truncate` is off,
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for impossible `dimensions`, and the host's.
    pub fn embed(&self, mut rows: Vec<Vec<u32>>, options: Options) -> Result<Embeddings, Error> {
        for (position, row) in rows.iter_mut().enumerate() {
            fit_tokens(position, row, self.facts.max_tokens, options.truncate)?;
        }
        let token_counts = rows.iter().map(|row| u32::try_from(row.len()).unwrap_or(u32::MAX)).collect();
        let readout = Readout::Hidden { output: self.facts.hidden_states, pooling: self.facts.pooling };
        let bounds = Bounds { max_rows: u32::MAX, max_tokens: self.facts.max_batch_tokens };
        batched::embed(&self.model, token_counts, bounds, readout, options, |batch| {
            let rows: Vec<&[u32]> = batch.iter().map(|&row| rows[row as usize].as_slice()).collect();
            PaddedRows::of(&rows).tensors(self.facts.inputs.iter().copied())
        })
    }
}
