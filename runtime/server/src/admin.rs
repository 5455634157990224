//! The admin listener: figures and probes over HTTP, for Prometheus and for probes that speak no gRPC, and what operators do.
//!
//! It answers from the moment on at which its address is taken, long before models are loaded: whoever waits for the service
//! is told that it lives and is not ready, instead of being refused.

mod operate;
mod probes;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wisp_engine::{Engine, RequestLimits};

use crate::front::Front;
use crate::listen::Listening;
use crate::metrics::{Listener, ServerMetrics};
use crate::transport::{Certificates, Transport};
use crate::{Reload, console};
pub(crate) use operate::may_administer;
use probes::{Answer, Phase};

/// What Prometheus is told the figures are written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the handlers know. Clones share it.
#[derive(Clone)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
}

struct Shared {
    metrics: Arc<ServerMetrics>,
    serving: OnceLock<Serving>,
    reload: OnceLock<Reload>,
    is_draining: AtomicBool,
}

/// What there is once everything is loaded.
struct Serving {
    engine: Engine,
    pages: Router,
}

/// A listener that answers.
pub(crate) struct Answering {
    admin: Admin,
    address: SocketAddr,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl Admin {
    fn new(metrics: Arc<ServerMetrics>) -> Self {
        let is_draining = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { metrics, serving: OnceLock::new(), reload: OnceLock::new(), is_draining }) }
    }

    /// The service goes down and takes no more requests.
    pub(crate) fn draining(&self) {
        self.shared.is_draining.store(true, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        match self.shared.serving.get() {
            _ if self.shared.is_draining.load(Ordering::Acquire) => Phase::Draining,
            Some(serving) => Phase::Serving(serving.engine.health()),
            None => Phase::Starting,
        }
    }
}

impl Answering {
    /// Answers on a listener.
    pub(crate) fn start(
        listening: Listening,
        certificates: Option<Arc<Certificates>>,
        limits: &RequestLimits,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        let Listening { listener, address } = listening;
        let (counts, closing) = (metrics.connections(Listener::Admin), CancellationToken::new());
        let admin = Admin::new(metrics);
        let front = Front::of_admin(router(admin.clone()));
        let transport = Transport::new(listener, front, certificates, limits, counts);
        tracing::debug!(%address, "probes and figures answer");
        Self { admin, address, task: tokio::spawn(transport.serve(closing.clone())), closing }
    }

    /// Everything is loaded.
    pub(crate) fn started(&self, engine: &Engine) {
        self.admin
            .shared
            .serving
            .get_or_init(|| Serving { engine: engine.clone(), pages: console::routes(engine.clone()) });
    }

    /// The configuration can change from now on.
    pub(crate) fn reloads(&self, reload: Reload) {
        self.admin.shared.reload.get_or_init(|| reload);
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `closing` is cancelled and every connection has ended.
    pub(crate) async fn until(mut self, closing: &CancellationToken) {
        closing.cancelled().await;
        self.closing.cancel();
        // A task that panicked has ended as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(admin: Admin) -> Router {
    let alive = get(|| async { "ok\n" });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", alive.clone())
        // As it was called first.
        .route("/healthz", alive)
        .route("/startupz", get(startup))
        .route("/readyz", get(ready))
        .route("/readyz/{deployment}", get(deployment_ready))
        .route("/api/reload", post(operate::reload).layer(from_fn(console::same_origin)))
        .fallback(page)
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    // Until everything is loaded there are those of the process alone.
    let of_engine = admin.shared.serving.get().map_or(String::new(), |serving| serving.engine.metrics());
    ([(header::CONTENT_TYPE, OPENMETRICS)], admin.shared.metrics.encode_after(of_engine))
}

async fn startup(State(admin): State<Admin>) -> Answer {
    probes::startup(&admin.phase())
}

/// Ready while one deployment can answer, as `grpc.health.v1` says it; the body names what cannot.
async fn ready(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Answer {
    probes::ready(&admin.phase(), is_verbose(query.as_deref()))
}

async fn deployment_ready(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    probes::deployment_ready(&admin.phase(), &name)
}

async fn page(State(admin): State<Admin>, request: Request) -> Response {
    match admin.shared.serving.get() {
        Some(serving) => match serving.pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => probes::startup(&admin.phase()).into_response(),
    }
}

/// `?verbose`, as Kubernetes' own components have it, whatever its value is.
fn is_verbose(query: Option<&str>) -> bool {
    let mut keys = query.unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    keys.any(|key| key == "verbose")
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = if self.is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let status = if self.is_unknown { StatusCode::NOT_FOUND } else { status };
        (status, self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn get(admin: &Admin, path: &str) -> (u16, String) {
        let request = Request::get(path).body(axum::body::Body::empty()).expect("a request");
        let response = router(admin.clone()).oneshot(request).await.expect("answers");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("is whole").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn while_models_are_loaded_it_lives_and_is_not_ready() {
        let admin = Admin::new(Arc::new(ServerMetrics::new()));
        for (path, expected) in [("/livez", 200), ("/healthz", 200), ("/startupz", 503), ("/readyz", 503)] {
            assert_eq!(get(&admin, path).await.0, expected, "{path}");
        }
        for path in ["/readyz/embedder", "/", "/api/state"] {
            let (status, text) = get(&admin, path).await;
            assert_eq!((status, text.as_str()), (503, "models and guests are being loaded\n"), "{path}");
        }
        let (status, metrics) = get(&admin, "/metrics").await;
        assert!(status == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    }

    #[tokio::test]
    async fn a_service_that_stops_is_not_ready_and_lives() {
        let admin = Admin::new(Arc::new(ServerMetrics::new()));
        admin.draining();
        assert_eq!(get(&admin, "/livez").await.0, 200);
        let (status, text) = get(&admin, "/readyz?verbose").await;
        assert_eq!((status, text.as_str()), (503, "the server is shutting down\n"));
    }

    #[test]
    fn verbose_is_asked_for_by_name() {
        assert!(is_verbose(Some("verbose")) && is_verbose(Some("a=b&verbose=1")));
        assert!(!is_verbose(None) && !is_verbose(Some("")) && !is_verbose(Some("verbosely")));
    }
}
