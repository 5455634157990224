//! The REST twin of the protocol: the same requests as JSON, with binary tensors behind it where a client wants them.

mod body;
mod described;
mod infer;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use wisp_engine::{Engine, Tenant};

use super::call::find;
use super::error::OipError;
use super::repository::{self, Change, Indexed, Parameters};
use super::{OpenInference, metadata};
use crate::upload::{NotReceived, Upload};
use crate::{identity, status};
use body::read_body;

pub(crate) use body::read;

/// A model in a path, and perhaps its version.
#[derive(Deserialize)]
pub(crate) struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

/// The tenant that a request is served for.
pub(crate) struct Known(Tenant);

/// The tenant that changes what is in service.
struct Administrator(Tenant);

/// `POST /v2/repository/index`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct IndexRequest {
    ready: bool,
    repository_name: String,
}

/// `POST /v2/repository/models/MODEL/load` and `…/unload`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ChangeRequest {
    parameters: serde_json::Map<String, Value>,
}

type Answered<T> = Result<Json<T>, OipError>;

/// Every route, all below `/v2`.
pub(crate) fn table() -> Vec<(String, MethodRouter<OpenInference>)> {
    let mut table = vec![
        ("/v2".to_owned(), get(server)),
        ("/v2/health/live".to_owned(), get(|| async { Json(json!({ "live": true })) })),
        ("/v2/health/ready".to_owned(), get(server_ready)),
        ("/v2/repository/index".to_owned(), post(index)),
        ("/v2/repository/models/{model}/load".to_owned(), post(load)),
        ("/v2/repository/models/{model}/unload".to_owned(), post(unload)),
    ];
    for model in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
        table.extend([
            (model.to_owned(), get(model_metadata)),
            (format!("{model}/ready"), get(model_ready)),
            (format!("{model}/config"), get(model_config)),
            (format!("{model}/infer"), post(infer::infer)),
        ]);
    }
    table
}

/// The routes over the service.
pub(crate) fn routes(service: OpenInference) -> Router {
    let routes = table().into_iter().fold(Router::new(), |router, (path, method)| router.route(&path, method));
    routes.method_not_allowed_fallback(wrong_method).with_state(service)
}

/// A path that exists, asked with a method that it does not take; what it takes stands in `Allow`.
async fn wrong_method(method: Method, uri: Uri) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": status::wrong_method(&uri, &method) }))).into_response()
}

impl FromRequestParts<OpenInference> for Named {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, service: &OpenInference) -> Result<Self, OipError> {
        let named = Path::from_request_parts(parts, service).await;
        named.map(|Path(named)| named).map_err(|rejection| OipError::Body(rejection.body_text()))
    }
}

impl FromRequestParts<OpenInference> for Known {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, service: &OpenInference) -> Result<Self, OipError> {
        identity::tenant(&service.engine, &parts.headers, &parts.extensions).map(Self).map_err(OipError::Identity)
    }
}

impl FromRequestParts<OpenInference> for Administrator {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, service: &OpenInference) -> Result<Self, OipError> {
        repository::administrator(&service.engine, &parts.headers, &parts.extensions).map(Self)
    }
}

async fn server() -> impl IntoResponse {
    let (name, version) = (metadata::SERVER, metadata::server_version());
    Json(json!({ "name": name, "version": version, "extensions": metadata::EXTENSIONS }))
}

/// 400 where it is not ready: the protocol wants a status of the 400s.
async fn server_ready(State(service): State<OpenInference>) -> impl IntoResponse {
    let ready = metadata::is_server_ready(&service);
    (status_of_readiness(ready), Json(json!({ "ready": ready })))
}

async fn model_ready(State(service): State<OpenInference>, named: Named) -> impl IntoResponse {
    let ready = metadata::is_model_ready(&service, &named.model, &named.version);
    (status_of_readiness(ready), Json(json!({ "name": named.model, "ready": ready })))
}

fn status_of_readiness(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::BAD_REQUEST }
}

async fn model_metadata(State(engine): State<Engine>, _: Known, named: Named) -> Answered<Value> {
    let endpoint = find(&engine, &named.model, &named.version)?;
    Ok(Json(described::metadata(&metadata::model(&endpoint))))
}

async fn model_config(State(engine): State<Engine>, _: Known, named: Named) -> Answered<Value> {
    let endpoint = find(&engine, &named.model, &named.version)?;
    Ok(Json(described::config(&metadata::config(&endpoint))))
}

async fn index(
    State(engine): State<Engine>,
    _: Known,
    headers: HeaderMap,
    body: Result<Upload, NotReceived>,
) -> Answered<Vec<Indexed>> {
    let body = read_body(&headers, body)?;
    let request: IndexRequest = match body.is_empty() {
        true => IndexRequest::default(),
        false => serde_json::from_slice(&body).map_err(|error| OipError::Body(format!("the body: {error}")))?,
    };
    repository::index(&engine, &request.repository_name, request.ready).map(Json)
}

async fn load(
    State(service): State<OpenInference>,
    Administrator(by): Administrator,
    named: Named,
    headers: HeaderMap,
    body: Result<Upload, NotReceived>,
) -> Answered<Value> {
    let parameters = changes(&read_body(&headers, body)?)?;
    let change = Change { repository: "", model: &named.model, parameters, by };
    repository::load(&service, change).await.map(|()| Json(json!({})))
}

async fn unload(
    State(service): State<OpenInference>,
    Administrator(by): Administrator,
    named: Named,
    headers: HeaderMap,
    body: Result<Upload, NotReceived>,
) -> Answered<Value> {
    let parameters = changes(&read_body(&headers, body)?)?;
    let change = Change { repository: "", model: &named.model, parameters, by };
    repository::unload(&service, change).await.map(|()| Json(json!({})))
}

/// The parameters of a change; a body without any, or none at all, is as good.
fn changes(body: &[u8]) -> Result<Parameters, OipError> {
    let request: ChangeRequest = match body.is_empty() {
        true => ChangeRequest::default(),
        false => serde_json::from_slice(body).map_err(|error| OipError::Body(format!("the body: {error}")))?,
    };
    let mut read = Parameters::default();
    for (name, value) in &request.parameters {
        match (name.as_str(), value) {
            (Parameters::UNLOAD_DEPENDENTS, Value::Bool(value)) => read.unload_dependents = *value,
            (Parameters::UNLOAD_DEPENDENTS, _) => {
                return Err(OipError::Body(format!("parameter `{name}` must be a boolean")));
            }
            _ => return Err(Parameters::unknown(name)),
        }
    }
    Ok(read)
}
