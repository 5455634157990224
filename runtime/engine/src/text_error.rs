//! What can be wrong with the inputs of a request beyond its texts: token ids, prompts, queries.

use wisp_core::{ErrorKind, Kinded};
use wisp_host::TokenizerError;

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A list of token ids is empty.
    #[error("token list {index} is empty; an embedding of nothing means nothing")]
    EmptyTokens {
        /// Which list, from 0.
        index: usize,
    },
    /// A list of token ids is too long.
    #[error(
        "token list {index} has {count} ids, which are {bytes} bytes; at most {limit} bytes are taken (server.limits.text_bytes)"
    )]
    TokensTooLong {
        /// Which list, from 0.
        index: usize,
        /// How many ids it has.
        count: usize,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A token id that the model does not know.
    #[error("token {position} of list {index} is {id}; the ids of model `{model}` are below {vocabulary}")]
    UnknownToken {
        /// Which list, from 0.
        index: usize,
        /// Which id of it, from 0.
        position: usize,
        /// The id.
        id: u32,
        /// The model.
        model: String,
        /// Its ids are below.
        vocabulary: u32,
    },
    /// A prompt that the manifest does not have.
    #[error("prompt `{name}` does not exist; {known}")]
    UnknownPrompt {
        /// The name as given.
        name: String,
        /// What there is.
        known: String,
    },
    /// A prompt for token ids.
    #[error("prompt `{name}` cannot be put before token ids; send texts, or put its tokens into the lists")]
    PromptOfTokens {
        /// The prompt.
        name: String,
    },
    /// The query of a ranking is empty or blank.
    #[error("the query is empty or blank; nothing can be compared with it")]
    EmptyQuery,
    /// The query of a ranking is too long.
    #[error("the query has {bytes} bytes; at most {limit} are taken (server.limits.text_bytes)")]
    QueryTooLong {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The texts to tokenise are too long together.
    #[error("the texts have {bytes} bytes together; at most {limit} are tokenised at once (server.limits.text_bytes)")]
    TooMuchText {
        /// Their size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Nothing to turn back into text.
    #[error("the request has no token lists; send at least one")]
    NoTokens,
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// No model of the deployment has a tokenizer.
    #[error("deployment `{deployment}` has no model with a tokenizer; name one that embeds texts")]
    NoTokenizer {
        /// The deployment.
        deployment: String,
    },
}

impl Kinded for TextError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::EmptyTokens { .. }
            | Self::UnknownToken { .. }
            | Self::UnknownPrompt { .. }
            | Self::PromptOfTokens { .. }
            | Self::EmptyQuery
            | Self::NoTokens => ErrorKind::InvalidArgument,
            Self::TokensTooLong { .. } | Self::QueryTooLong { .. } | Self::TooMuchText { .. } => ErrorKind::TooLarge,
            Self::Tokenizer(error) => error.kind(),
            Self::NoTokenizer { .. } => ErrorKind::Unsupported,
        }
    }
}
