//! `POST /embed`: one vector an input.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use wisp_engine::{Method, Prompt};

use super::options::{TruncationDirection, check_direction};
use crate::rest::Rest;
use crate::rest::body::Body;
use crate::rest::caller::Computes;
use crate::rest::dialect::Tei;
use crate::rest::inputs::{Inputs, whole};
use crate::rest::openapi::schema;
use crate::rest::refusal::Refused;
use crate::rest::timing::Timed;

/// What is to be embedded.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct EmbedRequest {
    #[schema(value_type = schema::Inputs)]
    inputs: Inputs,
    /// Scale each vector to length 1, which is the default.
    normalize: Option<bool>,
    /// Cut longer texts at the model's maximum, which is the default; otherwise they are an error.
    truncate: Option<bool>,
    #[schema(value_type = Option<schema::TruncationDirection>)]
    truncation_direction: Option<TruncationDirection>,
    /// Name of the model's prompt that is put before each text; without it the model's default, if it has one.
    #[schema(value_type = Option<schema::PromptName>)]
    prompt_name: Option<String>,
    /// Keep only the first so many dimensions.
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = Option<schema::Dimensions>)]
    dimensions: Option<u32>,
    /// Name of the deployment.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
}

/// Answers with a list of vectors.
pub(in crate::rest) async fn embed(
    State(rest): State<Rest>,
    Computes(caller): Computes<Tei>,
    Body { message, .. }: Body<EmbedRequest, Tei>,
) -> Result<Response, Refused<Tei>> {
    check_direction(message.truncation_direction, "truncation_direction")?;
    let characters = message.inputs.characters();
    let mut request = wisp_engine::EmbedRequest::of(message.inputs.0);
    request.deployment = message.model;
    request.prompt = Prompt::named(message.prompt_name);
    request.options.normalize = message.normalize.unwrap_or(request.options.normalize);
    request.options.truncate = message.truncate.unwrap_or(request.options.truncate);
    request.options.dimensions = message.dimensions;
    request.tenant = Some(caller.tenant.clone());
    request.method = Method::Tei;
    let answered = rest.engine.embed(request).await.map_err(|error| caller.refuse(&rest, error))?;
    let tokens = answered.token_counts.iter().map(|&tokens| u64::from(tokens)).sum();
    let timed = Timed { times: &answered.times, placement: answered.placement.as_ref(), characters, tokens };
    let vectors: Vec<&[f32]> = answered.vectors().collect();
    Ok((timed.headers(), Json(vectors)).into_response())
}
