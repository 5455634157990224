//! `Tokenize` and `Decode`: texts to tokens, and back.

use wisp_engine::{DecodeRequest, Engine, EngineError, Method, Prompt, Token, TokenizeRequest};
use wisp_proto::v1;

use super::request;
use crate::caller::Caller;

/// Answers one message of `Tokenize`.
pub(super) async fn tokenize(
    engine: &Engine,
    caller: &Caller,
    message: v1::TokenizeRequest,
) -> Result<v1::TokenizeResponse, EngineError> {
    let request = TokenizeRequest {
        deployment: request::deployment(message.deployment),
        texts: message.texts,
        // Who counts or cuts wants places in the text, so that the default is none.
        prompt: Prompt::named(Some(message.prompt_name.unwrap_or_default())),
        add_special_tokens: message.add_special_tokens.unwrap_or(true),
        tenant: Some(caller.tenant.clone()),
        method: Method::Tokenize,
    };
    let tokenized = engine.tokenize(request).await?;
    Ok(v1::TokenizeResponse {
        texts: tokenized.tokens.iter().map(|tokens| columns(tokens)).collect(),
        max_tokens: u32::try_from(tokenized.max_tokens).unwrap_or(u32::MAX),
    })
}

/// Answers one message of `Decode`.
pub(super) async fn decode(
    engine: &Engine,
    caller: &Caller,
    message: v1::DecodeRequest,
) -> Result<v1::DecodeResponse, EngineError> {
    let request = DecodeRequest {
        deployment: request::deployment(message.deployment),
        rows: request::rows(message.tokens),
        skip_special_tokens: message.skip_special_tokens.unwrap_or(true),
        tenant: Some(caller.tenant.clone()),
        method: Method::Decode,
    };
    Ok(v1::DecodeResponse { texts: engine.decode(request).await? })
}

fn columns(tokens: &[Token]) -> v1::Tokens {
    v1::Tokens {
        ids: tokens.iter().map(|token| token.id).collect(),
        starts: tokens.iter().map(|token| token.start).collect(),
        ends: tokens.iter().map(|token| token.end).collect(),
        // A text has fewer bytes than 2^32, and no more tokens than bytes and special ones.
        count: u32::try_from(tokens.len()).unwrap_or(u32::MAX),
    }
}
