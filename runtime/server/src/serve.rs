//! Listening, serving, draining.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use wisp_engine::{Engine, ServerConfig};
use wisp_proto::v1::inference_service_server::InferenceServiceServer;

use crate::deadline::DeadlineLayer;
use crate::door::DoorLayer;
use crate::embed::Inference;
use crate::receive::ReceiveLayer;
use crate::{ServeError, admin, applications, connection, readiness};

/// Longest time that requests in the engine are waited for when the service stops.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Longest time that open connections are waited for after that; a client that ignores GOAWAY must not hold the process.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Connections that the system completes before they are accepted.
const BACKLOG: u32 = 1024;

/// The addresses of a service, where nobody can connect yet.
pub struct Reserved {
    grpc: Bound,
    admin: Option<Bound>,
    /// Where REST and applications are served.
    http: Option<SocketAddr>,
}

/// An address that is ours.
struct Bound {
    socket: TcpSocket,
    address: SocketAddr,
    /// The key of the configuration that names it.
    key: &'static str,
}

/// A service that listens and does not serve yet.
pub struct Server {
    engine: Engine,
    grpc: TcpListener,
    grpc_address: SocketAddr,
    http: Option<(TcpListener, SocketAddr)>,
    admin: Option<(TcpListener, SocketAddr)>,
}

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in the engine when waiting ended; 0 when all finished.
    pub abandoned_requests: usize,
}

impl Reserved {
    /// Takes the configured addresses: whoever starts a service learns that it is in use before anything is loaded.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn new(config: &ServerConfig) -> Result<Self, ServeError> {
        let grpc = Bound::at(config.grpc, "grpc")?;
        let admin = config.admin.map(|address| Bound::at(address, "admin")).transpose()?;
        Ok(Self { grpc, admin, http: config.http })
    }
}

impl Bound {
    fn at(address: SocketAddr, key: &'static str) -> Result<Self, ServeError> {
        let socket = Self::socket(address).map_err(|source| ServeError::Bind { key, address, source })?;
        Ok(Self { socket, address, key })
    }

    fn socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As every server does on Unix: connections of the one before that are still closing must not keep it away.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        Ok(socket)
    }

    fn listen(self) -> Result<(TcpListener, SocketAddr), ServeError> {
        let Self { socket, address, key } = self;
        let failed = |source| ServeError::Bind { key, address, source };
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok((listener, address))
    }
}

impl Server {
    /// Listens on the reserved addresses.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn listen(engine: Engine, reserved: Reserved) -> Result<Self, ServeError> {
        let (grpc, grpc_address) = reserved.grpc.listen()?;
        let admin = reserved.admin.map(Bound::listen).transpose()?;
        let http = match reserved.http {
            Some(address) => Some(Bound::at(address, "http")?.listen()?),
            None => None,
        };
        Ok(Self { engine, grpc, grpc_address, http, admin })
    }

    /// Where gRPC listens; the real port when port 0 was configured.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where REST and HTTP applications are served, if they are; the real port when port 0 was configured.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// Where metrics and probes listen, if they do; the real port when port 0 was configured.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address)| *address)
    }

    /// Serves until `stop` completes, then drains.
    ///
    /// # Errors
    /// [`ServeError`] when the transport fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<Drained, ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        // Before the first connection: whoever asks is told the truth.
        readiness::publish(&self.engine.health(), &health).await;
        let limits = self.engine.limits().clone();
        let message_bytes = limits.message_bytes;
        let keepalive = Duration::from_millis(limits.keepalive_ms);
        let incoming = TcpIncoming::from(self.grpc).with_nodelay(Some(true));
        let handshake = Duration::from_millis(limits.handshake_ms);
        let connections = connection::accept(incoming, limits.connections, handshake);
        let inference = InferenceServiceServer::new(Inference { engine: self.engine.clone() })
            .max_decoding_message_size(message_bytes)
            // Answers are as large as the limits on texts allow; cutting them off here would lose the work.
            .max_encoding_message_size(usize::MAX);
        let (closing, draining) = (CancellationToken::new(), CancellationToken::new());
        // Goes on while the engine drains, and ends with this function.
        let _closes = closing.clone().drop_guard();
        let admin = admin_task(self.admin, &self.engine, &draining, &closing);
        tokio::pin!(admin);
        let applications = self
            .http
            .map(|(listener, _)| tokio::spawn(applications::serve(listener, self.engine.clone(), closing.clone())));
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(keepalive))
            .http2_keepalive_timeout(Some(keepalive))
            .max_concurrent_streams(Some(limits.connection_requests))
            // Browsers speak gRPC-Web, over HTTP/1.1 as well.
            .accept_http1(true)
            .layer(GrpcWebLayer::new())
            .layer(DoorLayer { engine: self.engine.clone() })
            .layer(ReceiveLayer { limit: Duration::from_millis(limits.receive_ms) })
            .layer(DeadlineLayer { message_limit_bytes: message_bytes })
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(inference)
            .serve_with_incoming_shutdown(connections, closing.clone().cancelled_owned());
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            ended = &mut serving => {
                ended?;
                return Ok(Drained { abandoned_requests: 0 });
            }
            () = readiness::follow(&self.engine, &health) => {}
            error = &mut admin => return Err(ServeError::Admin(error)),
            () = stop => {}
        }
        draining.cancel();
        // The transport goes on serving while the engine drains: late requests are told UNAVAILABLE, not cut off.
        let drained = tokio::select! {
            ended = &mut serving => { ended?; Drained { abandoned_requests: 0 } }
            error = &mut admin => return Err(ServeError::Admin(error)),
            drained = drain(&self.engine, &health) => drained,
        };
        closing.cancel();
        match tokio::time::timeout(CLOSE_LIMIT, serving).await {
            Ok(ended) => ended?,
            Err(_) => tracing::info!("connections that clients keep open are closed"),
        }
        if let Some(applications) = applications {
            // As with the other connections: what is kept open without a request is closed.
            let _ = tokio::time::timeout(CLOSE_LIMIT, applications).await;
        }
        Ok(drained)
    }
}

/// Serves the admin listener, if there is one. Comes back only with what went wrong.
async fn admin_task(
    admin: Option<(TcpListener, SocketAddr)>,
    engine: &Engine,
    draining: &CancellationToken,
    closing: &CancellationToken,
) -> std::io::Error {
    if let Some((listener, _)) = admin {
        let served = admin::serve(listener, engine.clone(), draining.clone(), closing.clone());
        if let Err(error) = served.await {
            return error;
        }
    }
    std::future::pending().await
}

async fn drain(engine: &Engine, health: &HealthReporter) -> Drained {
    readiness::withdraw(engine, health).await;
    let abandoned_requests = engine.drain(DRAIN_LIMIT).await;
    if abandoned_requests > 0 {
        tracing::warn!(abandoned_requests, "requests did not finish within the drain limit");
    }
    Drained { abandoned_requests }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wisp_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_refused_before_anything_is_loaded() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (taken, free) = (taken.local_addr().expect("bound"), SocketAddr::from(([127, 0, 0, 1], 0)));
        for (grpc, admin, key) in [(taken, None, "grpc"), (free, Some(taken), "admin")] {
            let config = ServerConfig { grpc, admin, ..ServerConfig::default() };
            let error = Reserved::new(&config).err().expect("taken").to_string();
            assert!(error.ends_with(&format!("set server.{key} to another address")), "{error}");
        }
    }
}
