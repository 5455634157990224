//! Where everything of the console lies.

use std::time::Instant;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use wisp_engine::Engine;

use super::{assets, figures, guard, headers, playground, status};

/// Bytes of a request to the playground: what a person types.
const BODY_LIMIT_BYTES: usize = 256 << 10;

/// Bytes of a request with a picture: 5 MiB of it, which the page sends at most, as base64.
const PICTURE_LIMIT_BYTES: usize = 7 << 20;

/// What the handlers know.
#[derive(Clone)]
pub(super) struct Console {
    pub(super) engine: Engine,
    /// When it began to be served.
    pub(super) since: Instant,
}

/// The page at `/`, its parts below `/console/`, and what it asks for below `/api/`.
pub(crate) fn routes(engine: Engine) -> Router {
    let api = Router::new()
        .route("/api/status", get(status::status))
        .route("/api/figures", get(figures::figures))
        .route("/api/embed", post(playground::embed).layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)))
        .route("/api/classify", post(playground::classify).layer(DefaultBodyLimit::max(PICTURE_LIMIT_BYTES)))
        .layer(from_fn_with_state(engine.clone(), guard::administrators))
        .layer(from_fn(guard::same_origin))
        .with_state(Console { engine, since: Instant::now() });
    let routes = Router::new()
        .route("/", get(assets::page))
        .route("/console/{name}", get(assets::part))
        .merge(api)
        .layer(from_fn(guard::own_host));
    // Outermost, so that refusals carry the headers too.
    routes.layer(from_fn(headers::protect))
}

/// Why a request of the page was not answered.
#[derive(Serialize)]
pub(super) struct Problem {
    /// In the words of the engine.
    pub(super) error: String,
    /// When it may help to try again; left out where time alone does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_ms: Option<u64>,
}

impl Problem {
    /// One that only other input mends.
    pub(super) fn new(error: impl Into<String>) -> Json<Self> {
        Json(Self { error: error.into(), retry_after_ms: None })
    }
}
