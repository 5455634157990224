//! Serving: what listens where, and in which order it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use wisp_engine::{DrainConfig, Engine, Reloaded};
use wisp_proto::v1::inference_service_server::InferenceServiceServer;

use crate::admin::{Admin, Answering};
use crate::embed::Inference;
use crate::front::Front;
use crate::listen::{Listening, Reserved};
use crate::metrics::Listener;
use crate::oip::{self, OpenInference};
use crate::transport::{Certificates, Transport};
use crate::{ServeError, Telemetry, readiness, secrets};

/// Longest time that connections are waited for in which nothing is computed any more; a client that keeps a stream open must
/// not hold the process.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A service that listens and does not serve yet.
pub struct Server {
    engine: Engine,
    grpc: Listening,
    http: Option<Listening>,
    admin: Option<Answering>,
    telemetry: Telemetry,
    /// Whether HTTP is served where gRPC is.
    is_shared: bool,
    certificates: Option<Arc<Certificates>>,
    drain: DrainConfig,
    cors_origins: Vec<String>,
    reload: Option<Reload>,
}

/// Puts another configuration into service, or says in one line why not. Blocks until it is done.
pub type Reload = Arc<dyn Fn() -> Result<Reloaded, String> + Send + Sync>;

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in the engine when waiting ended; 0 when all finished.
    pub abandoned_requests: usize,
}

impl Server {
    /// Listens on the reserved addresses.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn listen(engine: Engine, mut reserved: Reserved) -> Result<Self, ServeError> {
        reserved.answer_probes()?;
        let is_shared = reserved.is_shared();
        let Reserved { grpc, http, answering, telemetry, certificates, config, .. } = reserved;
        answering.iter().for_each(|answering| answering.started(&engine));
        Ok(Self {
            engine,
            grpc: grpc.listen()?,
            http: http.map(|bound| bound.listen()).transpose()?,
            admin: answering,
            telemetry,
            is_shared,
            certificates,
            drain: config.drain,
            cors_origins: config.cors_origins,
            reload: None,
        })
    }

    /// With reloading by operators; `None` where the configuration cannot change.
    #[must_use]
    pub fn with_reload(self, reload: Option<Reload>) -> Self {
        if let (Some(answering), Some(reload)) = (&self.admin, &reload) {
            answering.reloads(Arc::clone(reload));
        }
        Self { reload, ..self }
    }

    /// Where gRPC listens; the real port when port 0 was configured.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc.address
    }

    /// Where the APIs over HTTP and applications are served, if they are; the real port when port 0 was configured.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        let shared = self.is_shared.then_some(&self.grpc);
        self.http.as_ref().or(shared).map(|listening| listening.address)
    }

    /// Where metrics and probes listen, if they do; the real port when port 0 was configured.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Answering::address)
    }

    /// Serves until `stop` completes, then drains: the service says that it is not ready, serves on for the configured delay,
    /// tells every connection to end, and finishes what was begun.
    ///
    /// # Errors
    /// [`ServeError`] when reflection cannot be set up.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<Drained, ServeError> {
        let telemetry = std::mem::replace(&mut self.telemetry, Telemetry::off());
        let drained = self.run_with(&telemetry, stop).await;
        telemetry.shut_down().await;
        drained
    }

    async fn run_with(
        self,
        telemetry: &Telemetry,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Drained, ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        // Before the first connection: whoever asks is told the truth.
        readiness::publish(&self.engine.health(), &health).await;
        let (engine, drain) = (self.engine.clone(), self.drain);
        let (closing, draining) = (CancellationToken::new(), CancellationToken::new());
        // However this function ends, nothing goes on without it.
        let _closes = closing.clone().drop_guard();
        let secrets = secrets::follow(engine.clone(), self.certificates.clone());
        let open_inference =
            OpenInference { engine: engine.clone(), reload: self.reload.clone(), draining: draining.clone() };
        let routes = crate::rest::routes(engine.clone()).merge(oip::routes(open_inference.clone()));
        let services = services(&engine)?.add_service(oip::service(open_inference));
        let front = Front::new(&engine, services.add_service(health_service), &closing);
        let front = front.with_cors(&self.cors_origins);
        let admin = self.admin.as_ref().map(|answering| answering.admin().clone());
        let serving = self.serve(&front, routes, telemetry, &closing);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            () = readiness::follow(&engine, &health) => {}
            () = secrets => {}
            () = stop => {}
        }
        draining.cancel();
        admin.iter().for_each(Admin::draining);
        let finished = finish(&engine, &health, drain, &closing);
        tokio::select! {
            // Every connection ended by itself.
            () = &mut serving => Ok(Drained { abandoned_requests: engine.drain(Duration::ZERO).await }),
            drained = finished => Ok(drained),
        }
    }

    /// Every listener, until all of their connections ended.
    async fn serve(self, front: &Front, routes: Router, telemetry: &Telemetry, closing: &CancellationToken) {
        let limits = self.engine.limits();
        let with_http = || front.with_http(&self.engine, routes.clone());
        let transport = |listening: Listening, front: Front, name| {
            let counts = telemetry.metrics().connections(name);
            let certificates = self.certificates.clone();
            let transport = Transport::new(listening.listener, front, certificates, limits, counts);
            transport.watched_by(telemetry.watch()).serve(closing.clone())
        };
        let grpc = if self.is_shared { with_http() } else { front.clone() };
        let grpc = transport(self.grpc, grpc, Listener::Grpc);
        let http = self.http.map(|listening| transport(listening, with_http(), Listener::Http));
        let admin = self.admin.map(|answering| answering.until(closing));
        tokio::join!(grpc, optional(http), optional(admin));
    }
}

async fn optional(serving: Option<impl Future<Output = ()>>) {
    if let Some(serving) = serving {
        serving.await;
    }
}

/// Stops in the order in which nothing is lost: requests that clients sent before they knew are served as all others.
async fn finish(engine: &Engine, health: &HealthReporter, drain: DrainConfig, closing: &CancellationToken) -> Drained {
    readiness::withdraw(engine, health).await;
    tokio::time::sleep(Duration::from_millis(drain.delay_ms)).await;
    closing.cancel();
    let finishing = async {
        loop {
            engine.idle().await;
            tokio::time::sleep(CLOSE_LIMIT).await;
            if engine.inflight() == 0 {
                break;
            }
        }
    };
    let timeout = Duration::from_millis(drain.timeout_ms);
    if tokio::time::timeout(timeout, finishing).await.is_ok() {
        tracing::info!("connections that clients keep open are closed");
    }
    let abandoned_requests = engine.drain(Duration::ZERO).await;
    if abandoned_requests > 0 {
        tracing::warn!(abandoned_requests, "requests did not finish within server.drain.timeout_ms");
    }
    Drained { abandoned_requests }
}

/// The gRPC services.
fn services(engine: &Engine) -> Result<Routes, ServeError> {
    let inference = InferenceServiceServer::new(Inference { engine: engine.clone() })
        .max_decoding_message_size(engine.limits().message_bytes)
        // Answers are as large as the limits on texts allow; cutting them off here would lose the work.
        .max_encoding_message_size(usize::MAX);
    let routes = Routes::new(inference);
    Ok(routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wisp_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
