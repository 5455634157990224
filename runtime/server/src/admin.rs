//! The admin listener: figures and health over HTTP, for Prometheus and for probes that speak no gRPC.

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use wisp_engine::{Engine, Reloaded};

use crate::{Reload, identity};

/// What Prometheus is told the figures are written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the handlers know.
#[derive(Clone)]
struct Admin {
    engine: Engine,
    draining: CancellationToken,
    reload: Option<Reload>,
}

/// What is served there; `draining` says that the service goes down.
pub(crate) fn routes(engine: &Engine, draining: &CancellationToken, reload: Option<Reload>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/reload", post(reloaded))
        .with_state(Admin { engine: engine.clone(), draining: draining.clone(), reload })
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], admin.engine.metrics())
}

/// Ready while one deployment can answer, as `grpc.health.v1` says it; the body names what cannot.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down\n".to_owned());
    }
    let deployments = admin.engine.health();
    let problems = deployments.iter().filter_map(|deployment| {
        let problem = deployment.problem.as_ref()?;
        Some(format!("deployment `{}`: {problem}\n", deployment.name))
    });
    let problems: Vec<String> = problems.collect();
    let is_ready = problems.len() < deployments.len();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, if problems.is_empty() { "ready\n".to_owned() } else { problems.concat() })
}

/// Reads the configuration again and puts it into service; answers when that is done, with what changed or why nothing did.
async fn reloaded(State(admin): State<Admin>, request: Parts) -> Response {
    if let Err(refusal) = may_administer(&admin.engine, &request) {
        return refusal;
    }
    let Some(reload) = admin.reload else {
        return (StatusCode::NOT_IMPLEMENTED, "this server's configuration cannot change\n").into_response();
    };
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(Reloaded { added, removed, changed, ignored })) => {
            let told = [("added", added), ("removed", removed), ("changed", changed)];
            let told = told.map(|(what, names)| format!("{what}: {}\n", names.join(", "))).concat();
            let restart =
                if ignored.is_empty() { String::new() } else { format!("after a restart: {}\n", ignored.join(", ")) };
            (StatusCode::OK, told + &restart).into_response()
        }
        Ok(Err(reason)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{reason}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Whoever reaches this listener may, unless somebody was given the scope: then it is for them.
fn may_administer(engine: &Engine, request: &Parts) -> Result<(), Response> {
    if !engine.has_administrator() {
        return Ok(());
    }
    let checked = identity::administrator(engine, &request.headers, &request.extensions);
    checked.map(drop).map_err(|status| match status.code() {
        Code::Unauthenticated => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, format!("{}\n", status.message())).into_response()
        }
        _ => (StatusCode::FORBIDDEN, format!("{}\n", status.message())).into_response(),
    })
}
