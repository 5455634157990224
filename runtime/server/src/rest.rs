//! The REST interfaces of the HTTP listener: OpenAI's embeddings, what clients of text-embeddings-inference call, and
//! classification.

mod body;
mod caller;
mod classify;
mod dialect;
mod inputs;
mod openai;
mod openapi;
mod refusal;
mod tei;
#[cfg(test)]
mod tests;
mod timing;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use utoipa::openapi::OpenApi;
use wisp_engine::Engine;

use crate::status;
use dialect::{Dialect, OpenAi, Tei};
use refusal::Refusal;

/// What handlers know.
#[derive(Clone)]
struct Rest {
    engine: Engine,
    /// Seconds since 1970 at which the service started: what OpenAI calls the creation of a model.
    started_s: u64,
}

/// Every route, with the method that it takes in the document.
fn table() -> Vec<(&'static str, MethodRouter<Rest>)> {
    vec![
        ("/v1/embeddings", post(openai::embeddings)),
        ("/v1/models", get(openai::models)),
        ("/v1/models/{id}", get(openai::model)),
        ("/v1/classify", post(classify::classify)),
        ("/embed", post(tei::embed)),
        ("/rerank", post(tei::rerank)),
        ("/similarity", post(tei::similarity)),
        ("/predict", post(tei::predict)),
        ("/tokenize", post(tei::tokenize)),
        ("/decode", post(tei::decode)),
        ("/info", get(tei::info)),
        ("/health", get(tei::health)),
        ("/openapi.json", get(document)),
    ]
}

/// Reads a message as the handler of this path does; `None` where none takes one.
pub(crate) fn read(path: &str, bytes: &[u8]) -> Option<Result<(), Refusal>> {
    fn of<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), Refusal> {
        body::parse::<T>(bytes).map(|_| ())
    }
    Some(match path {
        "/v1/embeddings" => of::<openai::EmbeddingsRequest>(bytes),
        "/v1/classify" => of::<classify::ClassificationRequest>(bytes),
        "/embed" => of::<tei::EmbedRequest>(bytes),
        "/rerank" => of::<tei::RerankRequest>(bytes),
        "/similarity" => of::<tei::SimilarityRequest>(bytes),
        "/predict" => of::<tei::PredictRequest>(bytes),
        "/tokenize" => of::<tei::TokenizeRequest>(bytes),
        "/decode" => of::<tei::DecodeRequest>(bytes),
        _ => return None,
    })
}

/// The routes over an engine. Other paths are left to whoever gets the router.
pub(crate) fn routes(engine: Engine) -> Router {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let routes = table().into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    routes.method_not_allowed_fallback(wrong_method).with_state(Rest { engine, started_s: since.as_secs() })
}

/// What these interfaces are, for programs. Made anew each time: a reload changes what is deployed.
async fn document(State(rest): State<Rest>) -> Json<OpenApi> {
    Json(openapi::document(&openapi::Bounds::of(&rest.engine)))
}

/// A path that exists, asked with a method that it does not take; what it takes stands in `Allow`.
async fn wrong_method(method: Method, uri: Uri) -> Response {
    let refusal = Refusal::Method(status::wrong_method(&uri, &method));
    if uri.path().starts_with("/v1/") { OpenAi::response(&refusal) } else { Tei::response(&refusal) }
}
