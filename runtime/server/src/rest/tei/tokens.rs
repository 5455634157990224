//! `POST /tokenize` and `POST /decode`: texts to tokens, and back.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_engine::{Method, Prompt, Token};

use crate::rest::Rest;
use crate::rest::body::Body;
use crate::rest::caller::Caller;
use crate::rest::dialect::Tei;
use crate::rest::inputs::{Texts, TokenRows};
use crate::rest::openapi::schema;
use crate::rest::refusal::Refused;

/// Texts whose tokens are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct TokenizeRequest {
    #[schema(value_type = schema::TextOrTexts)]
    inputs: Texts,
    /// Add the model's special tokens, which is the default.
    add_special_tokens: Option<bool>,
    /// Name of the model's prompt that is put before each text; without it none.
    #[schema(value_type = Option<schema::PromptName>)]
    prompt_name: Option<String>,
    /// Name of the deployment.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
}

/// A token, and where it stands in the bytes of its text.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct SimpleToken {
    id: u32,
    /// The part of the text that it stands for, or what a special token is called.
    text: String,
    /// Whether it is a special token.
    special: bool,
    /// Its first byte; `null` for special tokens.
    start: Option<u32>,
    /// Behind its last byte; `null` for special tokens.
    stop: Option<u32>,
}

/// Token ids whose texts are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct DecodeRequest {
    #[schema(value_type = schema::TokenRows)]
    ids: TokenRows,
    /// Leave special tokens out, which is the default.
    skip_special_tokens: Option<bool>,
    /// Name of the deployment.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
}

/// Answers with a list of tokens a text.
pub(in crate::rest) async fn tokenize(
    State(rest): State<Rest>,
    caller: Caller<Tei>,
    Body { message, .. }: Body<TokenizeRequest, Tei>,
) -> Result<Json<Vec<Vec<SimpleToken>>>, Refused<Tei>> {
    let request = wisp_engine::TokenizeRequest {
        deployment: message.model,
        texts: message.inputs.0,
        prompt: Prompt::named(Some(message.prompt_name.unwrap_or_default())),
        add_special_tokens: message.add_special_tokens.unwrap_or(true),
        tenant: Some(caller.tenant.clone()),
        method: Method::Tei,
    };
    let tokenized = rest.engine.tokenize(request).await.map_err(|error| caller.refuse(&rest, error))?;
    let texts = tokenized.texts.iter().zip(tokenized.tokens);
    let tokens = texts.map(|(text, tokens)| tokens.into_iter().map(|token| simple(text, token)).collect());
    Ok(Json(tokens.collect()))
}

/// Answers with a text a list.
pub(in crate::rest) async fn decode(
    State(rest): State<Rest>,
    caller: Caller<Tei>,
    Body { message, .. }: Body<DecodeRequest, Tei>,
) -> Result<Json<Vec<String>>, Refused<Tei>> {
    let request = wisp_engine::DecodeRequest {
        deployment: message.model,
        rows: message.ids.0,
        skip_special_tokens: message.skip_special_tokens.unwrap_or(true),
        tenant: Some(caller.tenant.clone()),
        method: Method::Tei,
    };
    let texts = rest.engine.decode(request).await.map_err(|error| caller.refuse(&rest, error))?;
    Ok(Json(texts))
}

fn simple(text: &str, token: Token) -> SimpleToken {
    let Token { id, start, end, special } = token;
    match special {
        Some(name) => SimpleToken { id, text: name.into(), special: true, start: None, stop: None },
        None => {
            // A tokenizer of bytes may cut inside a character.
            let bytes = text.as_bytes().get(start as usize..end as usize).unwrap_or_default();
            let text = String::from_utf8_lossy(bytes).into_owned();
            SimpleToken { id, text, special: false, start: Some(start), stop: Some(end) }
        }
    }
}
