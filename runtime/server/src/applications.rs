//! The HTTP listener: the REST interfaces, and applications that run as guests, each request in an instance of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use wisp_core::Kinded;
use wisp_engine::{Engine, EngineError, GuestBodyError, HttpRequest, RequestLimits, Tenant};

use crate::connection::{self, Connection};
use crate::status::http_status;
use crate::{identity, rest};

/// How long nothing is accepted after the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of the headers of a request.
const HEADERS_LIMIT_BYTES: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, GuestBodyError>;

/// Serves until `closing` is cancelled; then requests in progress are finished.
pub(crate) async fn serve(listener: TcpListener, engine: Engine, closing: CancellationToken) {
    let limits = engine.limits().clone();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let handshake = Duration::from_millis(limits.handshake_ms);
    let mut connections = Box::pin(connection::accept(incoming, limits.connections, handshake));
    let builder = Arc::new(builder(&limits));
    // What is no path of ours is an application's.
    let applications = engine.clone();
    let router = rest::routes(engine).fallback(move |request| {
        let engine = applications.clone();
        async move { answer(&engine, request).await }
    });
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = connections.next() => accepted,
            () = closing.cancelled() => break,
        };
        match accepted {
            Some(Ok(connection)) => {
                let (builder, router, watcher) = (Arc::clone(&builder), router.clone(), graceful.watcher());
                tokio::spawn(async move { converse(&builder, connection, router, watcher).await });
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    graceful.shutdown().await;
}

fn builder(limits: &RequestLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let keepalive = Duration::from_millis(limits.keepalive_ms);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.handshake_ms))
        .max_buf_size(HEADERS_LIMIT_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive)
        .keep_alive_timeout(keepalive)
        .max_header_list_size(HEADERS_LIMIT_BYTES as u32)
        .max_concurrent_streams(limits.connection_requests);
    builder
}

async fn converse(builder: &Builder<TokioExecutor>, connection: Connection, router: Router, watcher: Watcher) {
    let service = TowerToHyperService::new(router);
    let conversation = builder.serve_connection(TokioIo::new(connection), service).into_owned();
    if let Err(error) = watcher.watch(conversation).await {
        tracing::debug!(error, "a connection ended");
    }
}

async fn answer(engine: &Engine, mut request: Request<axum::body::Body>) -> Response<Body> {
    let tenant = take_tenant(engine, request.headers_mut());
    let message_bytes = engine.limits().message_bytes;
    let request = request.map(|body| Limited::new(body, message_bytes));
    match engine.http(HttpRequest { request, is_encrypted: false, tenant }).await {
        Ok(response) => response.map(BodyExt::boxed_unsync),
        Err(error) => refusal(&error),
    }
}

/// The tenant whose token the request carries. Other tokens are the application's business; this one is not, and stays here.
fn take_tenant(engine: &Engine, headers: &mut HeaderMap) -> Option<Tenant> {
    let tenant = identity::tenant(engine, headers).ok().flatten()?;
    headers.remove(AUTHORIZATION);
    Some(tenant)
}

/// What a client is told when the application did not answer.
fn refusal(error: &EngineError) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{error}\n"))).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = http_status(error.kind());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Some(wait) = error.retry_after() {
        // The header has whole seconds.
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    }
    response
}
