//! `GET /info` and `GET /health`: what answers here, and whether it does.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_core::Pooling;

use crate::rest::Rest;
use crate::rest::caller::Caller;
use crate::rest::dialect::Tei;
use crate::rest::refusal::{Refusal, Refused};

/// Which deployment is asked about.
#[derive(Debug, Deserialize)]
pub(in crate::rest) struct InfoQuery {
    model: Option<String>,
}

/// What a deployment embeds with.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Info {
    /// Name of the model.
    model_id: String,
    /// Digest of its files.
    model_sha: Option<String>,
    /// Its arithmetic: `f32`, `f16`, `bf16` or `int8`.
    model_dtype: String,
    model_type: ModelType,
    /// Requests in the engine at one time.
    max_concurrent_requests: usize,
    /// Longest input in tokens, special tokens included.
    max_input_length: usize,
    /// Most rows × padded length of one inference.
    max_batch_tokens: usize,
    /// Unlimited: batches are bounded by tokens.
    max_batch_requests: Option<usize>,
    /// Inputs of one request.
    max_client_batch_size: usize,
    /// Whether longer inputs are cut where a request does not say.
    auto_truncate: bool,
    /// Lists of long texts that are tokenised at one time.
    tokenization_workers: usize,
    /// Version of the server.
    version: &'static str,
    /// Unknown here.
    sha: Option<&'static str>,
    /// Unknown here.
    docker_label: Option<&'static str>,
    /// Name of the deployment.
    deployment: String,
    /// Length of a vector.
    dimensions: Option<u32>,
    /// Names of the model's prompts.
    prompts: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ModelType {
    Embedding(EmbeddingModel),
}

#[derive(Serialize, ToSchema)]
struct EmbeddingModel {
    /// How hidden states become a vector.
    pooling: &'static str,
}

/// Answers for the deployment that the query names.
pub(in crate::rest) async fn info(
    State(rest): State<Rest>,
    caller: Caller<Tei>,
    query: Result<Query<InfoQuery>, QueryRejection>,
) -> Result<Json<Info>, Refused<Tei>> {
    let Query(query) = query.map_err(|rejection| Refusal::Syntax(rejection.body_text()))?;
    let facts = rest.engine.embedder(query.model.as_deref()).map_err(|error| caller.refuse(&rest, error))?;
    let (deployment, limits) = (facts.deployment, rest.engine.limits());
    let model = facts.model.ok_or_else(|| {
        caller.refuse(&rest, wisp_engine::TextError::NoTokenizer { deployment: deployment.clone() }.into())
    })?;
    Ok(Json(Info {
        model_id: model.name,
        model_sha: Some(model.digest),
        model_dtype: model.precision.to_string(),
        model_type: ModelType::Embedding(EmbeddingModel { pooling: model.pooling.map_or("none", pooling) }),
        max_concurrent_requests: limits.inflight_requests as usize,
        max_input_length: model.max_tokens,
        max_batch_tokens: model.max_batch_tokens as usize,
        max_batch_requests: None,
        max_client_batch_size: limits.texts,
        auto_truncate: true,
        tokenization_workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        version: env!("CARGO_PKG_VERSION"),
        sha: None,
        docker_label: None,
        deployment,
        dimensions: model.dimensions,
        prompts: model.prompts,
    }))
}

/// Well while one deployment can answer, as `/readyz` of the admin listener says it.
pub(in crate::rest) async fn health(State(rest): State<Rest>) -> Result<StatusCode, Refused<Tei>> {
    let deployments = rest.engine.health();
    if deployments.iter().any(|deployment| deployment.problem.is_none()) {
        return Ok(StatusCode::OK);
    }
    let problems = deployments.iter().filter_map(|deployment| {
        let problem = deployment.problem.as_ref()?;
        Some(format!("deployment `{}`: {problem}", deployment.name))
    });
    Err(Refusal::Unhealthy(problems.collect::<Vec<_>>().join("; ")).into())
}

/// As text-embeddings-inference calls it.
fn pooling(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "mean",
        Pooling::Cls => "cls",
        Pooling::Last => "last_token",
    }
}
