//! `GET /api/figures`: one moment of the engine, from which the page makes its figures and charts.
//!
//! The counters and histograms come as the exposition that Prometheus reads, whole: the page computes rates and quantiles from
//! the differences of two moments, and what it shows can never be something else than what a dashboard shows.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wisp_engine::DeploymentHealth;

use super::process::resident_bytes;
use super::routes::Console;

/// A moment.
#[derive(Serialize)]
struct Figures {
    /// Since the service began to be served.
    uptime_ms: u64,
    /// Whether new requests are refused, because the service shuts down.
    is_draining: bool,
    /// Requests in the engine.
    inflight_requests: usize,
    /// Memory of the process; left out where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    /// Deployments that cannot answer.
    problems: Vec<DeploymentProblem>,
    /// All figures, in the text format of OpenMetrics.
    openmetrics: String,
}

/// A deployment that cannot answer.
#[derive(Serialize)]
struct DeploymentProblem {
    deployment: String,
    /// What is out of service, and why.
    problem: String,
}

pub(super) async fn figures(State(Console { engine, since }): State<Console>) -> Response {
    let problem = |DeploymentHealth { name, problem }| Some(DeploymentProblem { deployment: name, problem: problem? });
    let figures = Figures {
        uptime_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        is_draining: engine.is_draining(),
        inflight_requests: engine.inflight(),
        resident_bytes: resident_bytes(),
        problems: engine.health().into_iter().filter_map(problem).collect(),
        openmetrics: engine.metrics(),
    };
    Json(figures).into_response()
}
