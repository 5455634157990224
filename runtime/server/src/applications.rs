//! HTTP applications: requests that run as guests, each in an instance of its own.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Limited;
use hyper::body::Incoming;
use tonic::{Code, Status};
use wisp_core::Kinded;
use wisp_engine::{ANONYMOUS, Engine, EngineError, HttpRequest};

use crate::identity;
use crate::status::http_status;
use crate::transport::Peer;

/// Has an application answer. Tokens of tenants are for this service and stay here; other tokens are the application's business,
/// as long as nobody has to show one.
pub(crate) async fn answer(engine: &Engine, mut request: Request<Incoming>) -> Response<Body> {
    let tenant = match identity::tenant(engine, request.headers(), request.extensions()) {
        Ok(tenant) => Some(tenant),
        Err(_) if engine.serves_anonymous() => None,
        Err(status) => return unidentified(&status),
    };
    if tenant.as_ref().is_some_and(|tenant| tenant.name() != ANONYMOUS) {
        request.headers_mut().remove(AUTHORIZATION);
    }
    let is_encrypted = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_encrypted);
    let message_bytes = engine.limits().message_bytes;
    let request = request.map(|body| Limited::new(body, message_bytes));
    match engine.http(HttpRequest { request, is_encrypted, tenant }).await {
        Ok(response) => response.map(Body::new),
        Err(error) => refusal(&error),
    }
}

fn unidentified(status: &Status) -> Response<Body> {
    let is_unknown = status.code() == Code::Unauthenticated;
    let code = if is_unknown { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    let mut response = told(code, status.message());
    if is_unknown {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What a client is told when the application did not answer.
fn refusal(error: &EngineError) -> Response<Body> {
    let mut response = told(http_status(error.kind()), &error.to_string());
    if let Some(wait) = error.retry_after() {
        // The header has whole seconds.
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    }
    response
}

fn told(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{message}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
