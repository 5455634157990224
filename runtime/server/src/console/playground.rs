//! The playground: what a person can try here, and what is told of every answer's way.

mod classify;
mod embed;

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};
use wisp_core::Kinded;
use wisp_engine::{BatchShare, Engine, EngineError, GuestKind, PlacementReport, RequestTimes};

use super::routes::Problem;
use crate::status::http_status;
pub(super) use classify::classify;
pub(super) use embed::embed;

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
    /// Deployments that classify.
    classify: Vec<String>,
}

/// Where an answer was computed, and where the time went.
#[derive(Serialize)]
struct Way {
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
        let deployments = engine.deployments();
        let of_kind = |kind: GuestKind| {
            let fitting = deployments.iter().filter(|deployment| deployment.kind == kind);
            fitting.map(|deployment| deployment.name.clone()).collect()
        };
        Self { texts_limit: TEXTS_LIMIT, embed: of_kind(GuestKind::Embedder), classify: of_kind(GuestKind::Classifier) }
    }
}

impl Way {
    fn of(times: &RequestTimes, placement: Option<&PlacementReport>, share: BatchShare) -> Self {
        let BatchShare { inferences, rows, tokens, padded_tokens } = share;
        let stage = |name, time| Stage { name, us: micros(time) };
        Self {
            // In the order in which a request goes through them.
            stages: vec![
                stage("guest", times.guest),
                stage("tokenize", times.tokenize),
                stage("queue", times.queue),
                stage("gather", times.gather),
                stage("infer", times.infer),
            ],
            total_us: micros(times.total),
            placement: placement.map(Placement::from),
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

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
