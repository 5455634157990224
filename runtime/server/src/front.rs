//! The front: which of the service's parts answers a request.
//!
//! A gRPC call goes to the gRPC services, which lie behind the door and the layers for uploads and deadlines. Any other request
//! goes to the application whose route it begins with, then to the APIs over HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};
use tower_http::cors::CorsLayer;
use wisp_engine::Engine;

use crate::applications;
use crate::cors;
use crate::deadline::{DeadlineLayer, DeadlineService};
use crate::door::{DoorLayer, DoorService};
use crate::receive::{ReceiveLayer, ReceiveService};

/// The gRPC services with everything that lies before them. The outermost turns gRPC-Web, which browsers speak, into gRPC.
type Grpc = GrpcWebService<DoorService<ReceiveService<DeadlineService<Routes>>>>;

/// What a listener serves. Clones share it.
#[derive(Clone)]
pub(crate) struct Front {
    grpc: Option<Grpc>,
    http: Option<Router>,
    /// Whose applications answer first; `None` on a listener without them.
    applications: Option<Engine>,
    /// What pages of other origins may; `None` for nothing. Applications say that of themselves.
    cors: Option<CorsLayer>,
}

impl Front {
    /// Of a listener for gRPC alone, whose streams end when `closing` is cancelled.
    pub(crate) fn new(engine: &Engine, services: Routes, closing: &CancellationToken) -> Self {
        let limits = engine.limits();
        let receive = ReceiveLayer { limit: Duration::from_millis(limits.receive_ms), closing: closing.clone() };
        let deadline = DeadlineLayer { message_limit_bytes: limits.message_bytes };
        let door = DoorLayer { engine: engine.clone() };
        let grpc = GrpcWebLayer::new().layer(door.layer(receive.layer(deadline.layer(services))));
        Self { grpc: Some(grpc), http: None, applications: None, cors: None }
    }

    /// The same for pages of these origins as well.
    pub(crate) fn with_cors(self, origins: &[String]) -> Self {
        Self { cors: cors::layer(origins), ..self }
    }

    /// The same with the APIs over HTTP, and the applications.
    pub(crate) fn with_http(&self, engine: &Engine, routes: Router) -> Self {
        Self { http: Some(routes.fallback(nothing_here)), applications: Some(engine.clone()), ..self.clone() }
    }

    /// Of the listener for operators.
    pub(crate) fn of_admin(routes: Router) -> Self {
        Self { grpc: None, http: Some(routes), applications: None, cors: None }
    }

    /// Answers a request; whatever goes wrong is an answer too.
    pub(crate) fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + 'static>> {
        if let Some(engine) = self.applications.as_ref().filter(|engine| engine.has_application(request.uri().path())) {
            let engine = engine.clone();
            return Box::pin(async move { applications::answer(&engine, request).await });
        }
        let Some(cors) = &self.cors else { return self.answer_with(request) };
        let inner = self.clone();
        let answering = tower::service_fn(move |request| {
            let answer = inner.answer_with(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut answering = cors.layer(answering);
        Box::pin(async move { infallible(answering.call(request).await) })
    }

    fn answer_with(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + 'static>> {
        match (&self.grpc, &self.http) {
            (Some(grpc), _) if is_grpc(request.headers()) => {
                let mut grpc = grpc.clone();
                let request = request.map(tonic::body::Body::new);
                Box::pin(async move { infallible(grpc.call(request).await).map(Body::new) })
            }
            (_, Some(http)) => {
                let mut http = http.clone();
                Box::pin(async move { infallible(http.call(request).await) })
            }
            (_, None) => Box::pin(async { grpc_alone() }),
        }
    }
}

/// Whether a request speaks gRPC or gRPC-Web, which its content type says.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// What a listener for gRPC tells a request that is none. Source: the protocol of gRPC over HTTP/2 asks for this status.
fn grpc_alone() -> Response<Body> {
    let told = "this address speaks gRPC (content-type: application/grpc); HTTP is served at server.http\n";
    answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, told)
}

async fn nothing_here() -> Response<Body> {
    answer(StatusCode::NOT_FOUND, "nothing is served at this path; GET /openapi.json tells what is\n")
}

fn answer(status: StatusCode, told: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(told));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web-text", true),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("ASCII"))]);
            assert_eq!(is_grpc(&headers), expected, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
