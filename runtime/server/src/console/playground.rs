//! `POST /api/embed`: texts that a person types, and how alike the engine finds them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::{Code, Status};
use wisp_core::Kinded;
use wisp_engine::{
    BatchShare, EmbedRequest, EmbedResponse, Engine, EngineError, GuestKind, PlacementReport, RequestTimes,
};

use super::routes::{Console, Problem};
use crate::identity;
use crate::status::http_status;

/// Texts at one time: more make no matrix that can be read.
const TEXTS_LIMIT: usize = 32;

/// How long a person waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What can be tried here.
#[derive(Serialize)]
pub(super) struct Offer {
    /// Texts at one time.
    texts_limit: usize,
    /// Deployments that embed.
    embed: Vec<String>,
}

/// Texts to compare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The deployment; left out for the only one, or `embedder`.
    deployment: Option<String>,
    texts: Vec<String>,
}

/// How alike they are.
#[derive(Serialize)]
struct Answer {
    /// Cosine of each pair: a square of as many rows as texts.
    similarity: Vec<Vec<f64>>,
    /// Length of a vector.
    dimensions: usize,
    /// Tokens of each text.
    tokens: Vec<u32>,
    stages: Vec<Stage>,
    /// From the arrival in the engine to the answer.
    total_us: f64,
    /// What ran; `null` when the guest answered without computing.
    placement: Option<Placement>,
    batch: Batch,
}

/// A part of the time.
#[derive(Serialize)]
struct Stage {
    name: &'static str,
    us: f64,
}

#[derive(Serialize)]
struct Placement {
    model: String,
    backend: String,
    device: String,
    precision: String,
}

/// The inferences that computed it, and what they shared with other requests.
#[derive(Serialize)]
struct Batch {
    inferences: u32,
    rows: u64,
    tokens: u64,
    padded_tokens: u64,
}

impl Offer {
    pub(super) fn of(engine: &Engine) -> Self {
        let embedders = engine.deployments().into_iter().filter(|deployment| deployment.kind == GuestKind::Embedder);
        Self { texts_limit: TEXTS_LIMIT, embed: embedders.map(|deployment| deployment.name).collect() }
    }
}

pub(super) async fn embed(
    State(Console { engine, .. }): State<Console>,
    parts: Parts,
    question: Result<Json<Question>, JsonRejection>,
) -> Response {
    let tenant = match identity::tenant(&engine, &parts.headers, &parts.extensions) {
        Ok(tenant) => tenant,
        Err(status) => return stranger(&status),
    };
    let question = match question {
        Ok(Json(question)) => question,
        Err(rejection) => return (rejection.status(), Problem::new(rejection.body_text())).into_response(),
    };
    if question.texts.len() > TEXTS_LIMIT {
        let count = question.texts.len();
        let problem = format!("{count} texts are too many to compare here; send at most {TEXTS_LIMIT}");
        return (StatusCode::PAYLOAD_TOO_LARGE, Problem::new(problem)).into_response();
    }
    let mut request = EmbedRequest::texts(question.texts);
    request.deployment = question.deployment.filter(|name| !name.is_empty());
    request.tenant = Some(tenant);
    request.deadline = Some(Instant::now() + ANSWER_LIMIT);
    match engine.embed(request).await {
        Ok(response) => Json(Answer::from(&response)).into_response(),
        Err(error) => refusal(&error),
    }
}

/// Who asks is not known, or may not.
fn stranger(status: &Status) -> Response {
    let code = match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        _ => StatusCode::FORBIDDEN,
    };
    (code, Problem::new(status.message())).into_response()
}

/// What the engine says, word for word.
fn refusal(error: &EngineError) -> Response {
    let retry_after_ms = error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let problem = Problem { error: error.to_string(), retry_after_ms };
    let mut response = (http_status(error.kind()), Json(problem)).into_response();
    if let Some(wait_ms) = retry_after_ms {
        // The header has whole seconds.
        response.headers_mut().insert(header::RETRY_AFTER, wait_ms.div_ceil(1000).max(1).into());
    }
    response
}

impl From<&EmbedResponse> for Answer {
    fn from(response: &EmbedResponse) -> Self {
        let vectors: Vec<&[f32]> = response.vectors().collect();
        let row = |a: &&[f32]| vectors.iter().map(|b| cosine(a, b)).collect();
        let BatchShare { inferences, rows, tokens, padded_tokens } = response.share;
        Self {
            similarity: vectors.iter().map(row).collect(),
            dimensions: response.dimensions,
            tokens: response.token_counts.clone(),
            stages: stages(&response.times),
            total_us: micros(response.times.total),
            placement: response.placement.as_ref().map(Placement::from),
            batch: Batch { inferences, rows, tokens, padded_tokens },
        }
    }
}

impl From<&PlacementReport> for Placement {
    fn from(report: &PlacementReport) -> Self {
        Self {
            model: report.model.to_string(),
            backend: report.placement.backend.to_string(),
            device: report.placement.device.to_string(),
            precision: report.precision.to_string(),
        }
    }
}

/// In the order in which a request goes through them.
fn stages(times: &RequestTimes) -> Vec<Stage> {
    let stage = |name, time| Stage { name, us: micros(time) };
    vec![
        stage("guest", times.guest),
        stage("tokenize", times.tokenize),
        stage("queue", times.queue),
        stage("gather", times.gather),
        stage("infer", times.infer),
    ]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Cosine of two vectors; 0 where one of them has no direction.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { (dot(a, b) / length).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_of_directions_alone() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 0.0], &[0.0, 3.0]).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[-2.0, 0.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).abs() < 1e-12);
    }
}
