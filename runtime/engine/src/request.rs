//! A request to embed, its check, and the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{Placement, Precision};
use wisp_host::{EmbedInputs, EmbedOptions};
use wisp_scheduler::{BatchShare, Lane, Tenant};

use crate::{EngineError, Method, Prompt, RequestLimits, TextError};

/// Bytes of a token id, for bounds in bytes.
const TOKEN_BYTES: usize = size_of::<u32>();

/// A request to embed texts, or token ids.
#[derive(Clone, Debug, Default)]
pub struct EmbedRequest {
    /// Name of the deployment; `None` means the only one, or `embedder`.
    pub deployment: Option<String>,
    /// The texts, at least one, none of them empty or blank; or token ids with the special tokens in place.
    pub inputs: EmbedInputs,
    /// What is put before each text; token ids take none.
    pub prompt: Prompt,
    /// How to embed.
    pub options: EmbedOptions,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Which lane it waits in.
    pub lane: Lane,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
    /// What it is counted as.
    pub method: Method,
}

impl EmbedRequest {
    /// A request with defaults for everything but the texts.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(EmbedInputs::Texts(texts.into_iter().map(Into::into).collect()))
    }

    /// A request with defaults for everything but the inputs.
    #[must_use]
    pub fn of(inputs: EmbedInputs) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Refuses what no guest needs to see.
    pub(crate) fn check(&self, limits: &RequestLimits) -> Result<(), EngineError> {
        match &self.inputs {
            EmbedInputs::Texts(texts) => check_texts(texts, limits),
            EmbedInputs::Tokens(rows) => check_tokens(rows, limits),
        }
    }
}

/// Refuses lists of texts that are empty or beyond the limits, in themselves or in one of the texts.
pub(crate) fn check_texts(texts: &[String], limits: &RequestLimits) -> Result<(), EngineError> {
    check_count(texts.len(), limits)?;
    for (index, text) in texts.iter().enumerate() {
        if text.trim().is_empty() {
            return Err(EngineError::EmptyText { index });
        }
        if text.len() > limits.text_bytes {
            return Err(EngineError::TextTooLong { index, bytes: text.len(), limit: limits.text_bytes });
        }
    }
    Ok(())
}

/// Refuses lists of token ids that are empty or beyond the limits, in themselves or in one of the rows.
pub(crate) fn check_tokens(rows: &[Vec<u32>], limits: &RequestLimits) -> Result<(), EngineError> {
    check_count(rows.len(), limits)?;
    for (index, row) in rows.iter().enumerate() {
        if row.is_empty() {
            return Err(TextError::EmptyTokens { index }.into());
        }
        let (count, bytes, limit) = (row.len(), row.len() * TOKEN_BYTES, limits.text_bytes);
        if bytes > limit {
            return Err(TextError::TokensTooLong { index, count, bytes, limit }.into());
        }
    }
    Ok(())
}

fn check_count(count: usize, limits: &RequestLimits) -> Result<(), EngineError> {
    match count {
        0 => Err(EngineError::NoTexts),
        count if count > limits.texts => Err(EngineError::TooManyTexts { count, limit: limits.texts }),
        _ => Ok(()),
    }
}

/// The answer to an [`EmbedRequest`].
#[derive(Clone, Debug)]
pub struct EmbedResponse {
    /// All vectors, one after the other: row-major `[texts, dimensions]`.
    pub values: Vec<f32>,
    /// Length of one vector.
    pub dimensions: usize,
    /// Tokens of each text that took part.
    pub token_counts: Vec<u32>,
    /// Where the time went.
    pub times: RequestTimes,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// What ran; `None` when the guest answered without computing.
    pub placement: Option<PlacementReport>,
}

impl EmbedResponse {
    /// The vectors, in the order of the texts.
    pub fn vectors(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimensions)
    }
}

/// Where the time of a request went. Stages of several inferences add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTimes {
    /// Waiting for the session.
    pub queue: Duration,
    /// Tokenising in the host.
    pub tokenize: Duration,
    /// The guest's instance and own code.
    pub guest: Duration,
    /// Putting rows together and taking results apart.
    pub gather: Duration,
    /// In the session.
    pub infer: Duration,
    /// From the arrival in the engine to the answer.
    pub total: Duration,
}

/// The model that ran, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementReport {
    /// Name of the model.
    pub model: Arc<str>,
    /// Backend and device.
    pub placement: Placement,
    /// Arithmetic.
    pub precision: Precision,
}
