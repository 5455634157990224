//! `POST /rerank` and `POST /similarity`: texts compared with one text.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_engine::{Method, Prompt, RerankResponse};

use super::options::{TruncationDirection, check_direction};
use crate::embed::rerank::{DOCUMENT_PROMPTS, QUERY_PROMPTS};
use crate::rest::Rest;
use crate::rest::body::Body;
use crate::rest::caller::{Caller, Computes};
use crate::rest::dialect::Tei;
use crate::rest::openapi::schema;
use crate::rest::refusal::Refused;
use crate::rest::timing::Timed;

/// Texts to rank by how close they are to a query.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct RerankRequest {
    #[schema(value_type = schema::Text)]
    query: String,
    #[schema(value_type = schema::TextList)]
    texts: Vec<String>,
    /// Give the cosine itself, -1 to 1. Otherwise, which is the default, it is moved to 0 to 1: (1 + cosine) / 2.
    raw_scores: Option<bool>,
    /// Repeat each text in the answer; the default is not to.
    return_text: Option<bool>,
    /// Cut longer texts at the model's maximum, which is the default; otherwise they are an error.
    truncate: Option<bool>,
    #[schema(value_type = Option<schema::TruncationDirection>)]
    truncation_direction: Option<TruncationDirection>,
    /// Name of the deployment.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
}

/// A text in its place; the closest comes first.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Rank {
    /// Which text of the request, from 0.
    index: usize,
    /// How close it is.
    score: f32,
    /// The text, where the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
}

/// Sentences to compare with another one.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct SimilarityRequest {
    inputs: SimilarityInputs,
    parameters: Option<SimilarityParameters>,
    /// Name of the deployment.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct SimilarityInputs {
    #[schema(value_type = schema::Text)]
    source_sentence: String,
    #[schema(value_type = schema::TextList)]
    sentences: Vec<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
struct SimilarityParameters {
    /// Cut longer texts at the model's maximum, which is the default; otherwise they are an error.
    truncate: Option<bool>,
    #[schema(value_type = Option<schema::TruncationDirection>)]
    truncation_direction: Option<TruncationDirection>,
    /// Name of the model's prompt that is put before each text; without it the model's default, if it has one.
    #[schema(value_type = Option<schema::PromptName>)]
    prompt_name: Option<String>,
}

/// Answers with the texts in order.
pub(in crate::rest) async fn rerank(
    State(rest): State<Rest>,
    Computes(caller): Computes<Tei>,
    Body { message, .. }: Body<RerankRequest, Tei>,
) -> Result<Response, Refused<Tei>> {
    check_direction(message.truncation_direction, "truncation_direction")?;
    let returned = message.return_text.unwrap_or(false).then(|| message.texts.clone());
    let request = wisp_engine::RerankRequest {
        deployment: message.model,
        query: message.query,
        documents: message.texts,
        query_prompt: Prompt::FirstOf(QUERY_PROMPTS),
        document_prompt: Prompt::FirstOf(DOCUMENT_PROMPTS),
        truncate: message.truncate.unwrap_or(true),
        ..wisp_engine::RerankRequest::default()
    };
    let is_raw = message.raw_scores.unwrap_or(false);
    let (characters, answered) = compare(&rest, &caller, request).await?;
    let rank = |ranked: &wisp_engine::Ranked| Rank {
        index: ranked.index,
        score: if is_raw { ranked.score } else { f32::midpoint(1.0, ranked.score) },
        text: returned.as_ref().and_then(|texts| texts.get(ranked.index).cloned()),
    };
    let ranks: Vec<_> = answered.ranking.iter().map(rank).collect();
    Ok((timed(&answered, characters).headers(), Json(ranks)).into_response())
}

/// Answers with the cosine of each sentence, in the order of the sentences.
pub(in crate::rest) async fn similarity(
    State(rest): State<Rest>,
    Computes(caller): Computes<Tei>,
    Body { message, .. }: Body<SimilarityRequest, Tei>,
) -> Result<Response, Refused<Tei>> {
    let parameters = message.parameters.unwrap_or_default();
    check_direction(parameters.truncation_direction, "parameters.truncation_direction")?;
    let prompt = Prompt::named(parameters.prompt_name);
    let request = wisp_engine::RerankRequest {
        deployment: message.model,
        query: message.inputs.source_sentence,
        documents: message.inputs.sentences,
        query_prompt: prompt.clone(),
        document_prompt: prompt,
        truncate: parameters.truncate.unwrap_or(true),
        ..wisp_engine::RerankRequest::default()
    };
    let (characters, mut answered) = compare(&rest, &caller, request).await?;
    answered.ranking.sort_by_key(|ranked| ranked.index);
    let scores: Vec<_> = answered.ranking.iter().map(|ranked| ranked.score).collect();
    Ok((timed(&answered, characters).headers(), Json(scores)).into_response())
}

/// Asks the engine; the number is that of the characters of all texts.
async fn compare(
    rest: &Rest,
    caller: &Caller<Tei>,
    request: wisp_engine::RerankRequest,
) -> Result<(usize, RerankResponse), Refused<Tei>> {
    let texts = std::iter::once(&request.query).chain(&request.documents);
    let characters = texts.map(|text| text.chars().count()).sum();
    let request = wisp_engine::RerankRequest { tenant: Some(caller.tenant.clone()), method: Method::Tei, ..request };
    let answered = rest.engine.rerank(request).await.map_err(|error| caller.refuse(rest, error))?;
    Ok((characters, answered))
}

fn timed(answered: &RerankResponse, characters: usize) -> Timed<'_> {
    Timed { times: &answered.times, placement: answered.placement.as_ref(), characters, tokens: answered.tokens }
}
