//! Classification over HTTP: `POST /v1/classify`, and `POST /predict` in the form of text-embeddings-inference.

mod native;
mod predict;

use axum::Router;
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::de::DeserializeOwned;
use tonic::{Code, Status};
use wisp_core::Kinded;
use wisp_engine::{ClassifyRequest, ClassifyResponse, Engine, EngineError};

use crate::identity;
use crate::status::http_status;
use crate::upload::{NotReceived, Upload};

/// Why a request is not answered.
enum Refusal {
    /// Whoever sends it is nobody, or may not.
    Identity(Status),
    /// Its body could not be received.
    Body(NotReceived),
    /// Its body is not what it should be.
    Malformed(String),
    /// The engine refuses it.
    Engine(EngineError),
}

/// A refusal in parts, for either form of errors.
struct Told {
    status: StatusCode,
    message: String,
    /// Whole seconds, where time alone helps.
    retry_after_s: Option<u64>,
}

/// The routes, over an engine.
pub(crate) fn routes(engine: Engine) -> Router {
    Router::new()
        .route("/v1/classify", post(native::classify))
        .route("/predict", post(predict::predict))
        .with_state(engine)
}

/// Reads the body of a request as JSON.
fn read<T: DeserializeOwned>(body: Result<Upload, NotReceived>) -> Result<T, Refusal> {
    let Upload(body) = body.map_err(Refusal::Body)?;
    serde_json::from_slice(&body).map_err(|error| Refusal::Malformed(format!("the body cannot be read: {error}")))
}

/// Classifies for whoever the head of the request names.
async fn answer(engine: &Engine, head: &Head, request: ClassifyRequest) -> Result<ClassifyResponse, Refusal> {
    let tenant = identity::tenant(engine, &head.headers, &head.extensions).map_err(Refusal::Identity)?;
    engine.classify(ClassifyRequest { tenant: Some(tenant), ..request }).await.map_err(Refusal::Engine)
}

impl Refusal {
    fn told(self) -> Told {
        let told = |status, message| Told { status, message, retry_after_s: None };
        match self {
            Self::Identity(status) if status.code() == Code::PermissionDenied => {
                told(StatusCode::FORBIDDEN, status.message().to_owned())
            }
            Self::Identity(status) => told(StatusCode::UNAUTHORIZED, status.message().to_owned()),
            Self::Malformed(message) => told(StatusCode::BAD_REQUEST, message),
            Self::Body(problem) => told(problem.status(), problem.to_string()),
            Self::Engine(error) => Told {
                status: http_status(error.kind()),
                message: error.to_string(),
                retry_after_s: error.retry_after().map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64),
            },
        }
    }
}

impl Told {
    /// The answer with this body.
    fn with(self, body: impl serde::Serialize) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
