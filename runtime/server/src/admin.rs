//! The admin listener: figures and health over HTTP, for Prometheus and for probes that speak no gRPC.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wisp_engine::Engine;

use crate::console;

/// What Prometheus is told the figures are written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the handlers know.
#[derive(Clone)]
struct Admin {
    engine: Engine,
    draining: CancellationToken,
}

/// Serves until `closing` is cancelled; `draining` says that the service goes down and takes no more requests.
pub(crate) async fn serve(
    listener: TcpListener,
    engine: Engine,
    draining: CancellationToken,
    closing: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Admin { engine: engine.clone(), draining })
        .merge(console::routes(engine));
    axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned()).await
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
