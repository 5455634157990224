//! OpenAI's API for embeddings: `/v1/embeddings` and `/v1/models`. Source: platform.openai.com/docs/api-reference/embeddings.
//!
//! A model is a deployment by its name. Fields that are not known here are ignored, as clients of OpenAI send them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_engine::{EmbedRequest, EmbedResponse, EngineError, GuestKind, Method, Prompt};

use super::Rest;
use super::body::Body;
use super::caller::{Caller, Computes};
use super::dialect::OpenAi;
use super::inputs::{Inputs, whole};
use super::openapi::schema;
use super::refusal::{Refusal, Refused};
use super::timing::Timed;
use crate::embed::encoding::f32_bytes;

/// Who owns the deployments, as OpenAI's clients ask.
const OWNER: &str = "wisp";

/// What is to be embedded.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EmbeddingsRequest {
    #[schema(value_type = schema::Inputs)]
    input: Inputs,
    /// Name of the deployment; without it the only one, or `embedder`.
    #[schema(value_type = Option<schema::DeploymentName>)]
    model: Option<String>,
    /// Keep only the first so many dimensions.
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = Option<schema::Dimensions>)]
    dimensions: Option<u32>,
    /// How vectors are written: numbers, or the base64 of their little-endian 32-bit floats. Without it numbers.
    encoding_format: Option<EncodingFormat>,
    /// Name of the model's prompt that is put before each text; not part of OpenAI's API.
    #[schema(value_type = Option<schema::PromptName>)]
    prompt_name: Option<String>,
    /// Whether texts are cut at the model's maximum, which is the default; otherwise longer ones are an error. Not part of
    /// OpenAI's API.
    truncate: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    #[default]
    Float,
    Base64,
}

/// One embedding an input, in the order of the inputs.
#[derive(Serialize, ToSchema)]
pub(super) struct EmbeddingsResponse {
    /// `list`.
    object: &'static str,
    data: Vec<EmbeddingObject>,
    /// Name of the deployment that answered.
    model: String,
    usage: Usage,
}

#[derive(Serialize, ToSchema)]
struct EmbeddingObject {
    /// `embedding`.
    object: &'static str,
    /// Which input, from 0.
    index: usize,
    embedding: Vector,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Base64(String),
}

#[derive(Serialize, ToSchema)]
struct Usage {
    /// Tokens of all inputs, special tokens included.
    prompt_tokens: u64,
    /// The same: nothing is generated.
    total_tokens: u64,
}

/// The deployments that embed.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    /// `list`.
    object: &'static str,
    data: Vec<ModelObject>,
}

/// A deployment that embeds.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelObject {
    /// Name of the deployment.
    id: String,
    /// `model`.
    object: &'static str,
    /// When the service started, in seconds since 1970.
    created: u64,
    /// `wisp`.
    owned_by: &'static str,
}

/// `POST /v1/embeddings`.
pub(super) async fn embeddings(
    State(rest): State<Rest>,
    Computes(caller): Computes<OpenAi>,
    Body { message, .. }: Body<EmbeddingsRequest, OpenAi>,
) -> Result<Response, Refused<OpenAi>> {
    let characters = message.input.characters();
    let format = message.encoding_format.unwrap_or_default();
    let request = EmbedRequest { tenant: Some(caller.tenant.clone()), method: Method::Openai, ..request(message) };
    let model = rest.engine.embedder(request.deployment.as_deref()).map_err(|error| caller.refuse(&rest, error))?;
    let answered = rest.engine.embed(request).await.map_err(|error| caller.refuse(&rest, error))?;
    let tokens = answered.token_counts.iter().map(|&tokens| u64::from(tokens)).sum();
    let timed = Timed { times: &answered.times, placement: answered.placement.as_ref(), characters, tokens };
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let body = EmbeddingsResponse { object: "list", data: objects(&answered, format), model: model.deployment, usage };
    Ok((timed.headers(), Json(body)).into_response())
}

/// `GET /v1/models`.
pub(super) async fn models(State(rest): State<Rest>, _: Caller<OpenAi>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: embedders(&rest).collect() })
}

/// `GET /v1/models/{id}`.
pub(super) async fn model(
    State(rest): State<Rest>,
    _: Caller<OpenAi>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelObject>, Refused<OpenAi>> {
    let Path(id) = id.map_err(|rejection| Refusal::Syntax(rejection.body_text()))?;
    match embedders(&rest).find(|model| model.id == id) {
        Some(model) => Ok(Json(model)),
        None => {
            let names: Vec<_> = embedders(&rest).map(|model| format!("`{}`", model.id)).collect();
            let name = id.chars().take(128).collect();
            Err(EngineError::UnknownDeployment { name, available: names.join(", ") }.into())
        }
    }
}

fn embedders(rest: &Rest) -> impl Iterator<Item = ModelObject> {
    let embedders = rest.engine.deployments().into_iter().filter(|deployment| deployment.kind == GuestKind::Embedder);
    embedders.map(|deployment| ModelObject {
        id: deployment.name,
        object: "model",
        created: rest.started_s,
        owned_by: OWNER,
    })
}

fn request(message: EmbeddingsRequest) -> EmbedRequest {
    let mut request = EmbedRequest::of(message.input.0);
    request.deployment = message.model;
    request.prompt = Prompt::named(message.prompt_name);
    request.options.dimensions = message.dimensions;
    request.options.truncate = message.truncate.unwrap_or(request.options.truncate);
    request
}

fn objects(answered: &EmbedResponse, format: EncodingFormat) -> Vec<EmbeddingObject> {
    let vector = |vector: &[f32]| match format {
        EncodingFormat::Float => Vector::Numbers(vector.to_vec()),
        EncodingFormat::Base64 => Vector::Base64(BASE64.encode(f32_bytes(vector))),
    };
    let object = |(index, values)| EmbeddingObject { object: "embedding", index, embedding: vector(values) };
    answered.vectors().enumerate().map(object).collect()
}
