//! Listening, serving, draining.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use wisp_engine::{Engine, ServerConfig};
use wisp_proto::v1::inference_service_server::InferenceServiceServer;

use crate::deadline::DeadlineLayer;
use crate::embed::Inference;
use crate::receive::ReceiveLayer;
use crate::{ServeError, connection, readiness};

/// Longest time that requests in the engine are waited for when the service stops.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Longest time that open connections are waited for after that; a client that ignores GOAWAY must not hold the process.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Connections that the system completes before they are accepted.
const BACKLOG: u32 = 1024;

/// An address that is ours, where nobody can connect yet.
pub struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// A service that listens and does not serve yet.
pub struct Server {
    engine: Engine,
    listener: TcpListener,
    address: SocketAddr,
}

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in the engine when waiting ended; 0 when all finished.
    pub abandoned_requests: usize,
}

impl Reserved {
    /// Takes the configured address: whoever starts a service learns that it is in use before anything is loaded.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn new(config: &ServerConfig) -> Result<Self, ServeError> {
        Self::bind(config.grpc).map_err(|source| ServeError::Bind { address: config.grpc, source })
    }

    fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As every server does on Unix: connections of the one before that are still closing must not keep it away.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        Ok(Self { socket, address })
    }
}

impl Server {
    /// Listens on the reserved address.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn listen(engine: Engine, reserved: Reserved) -> Result<Self, ServeError> {
        let bind_error = |source| ServeError::Bind { address: reserved.address, source };
        let listener = reserved.socket.listen(BACKLOG).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Self { engine, listener, address })
    }

    /// Where gRPC listens; the real port when port 0 was configured.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.address
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
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let handshake = Duration::from_millis(limits.handshake_ms);
        let connections = connection::accept(incoming, limits.connections, handshake);
        let inference = InferenceServiceServer::new(Inference { engine: self.engine.clone() })
            .max_decoding_message_size(message_bytes)
            // Answers are as large as the limits on texts allow; cutting them off here would lose the work.
            .max_encoding_message_size(usize::MAX);
        let closing = CancellationToken::new();
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(keepalive))
            .http2_keepalive_timeout(Some(keepalive))
            .max_concurrent_streams(Some(limits.connection_requests))
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
            () = stop => {}
        }
        // The transport goes on serving while the engine drains: late requests are told UNAVAILABLE, not cut off.
        let drained = tokio::select! {
            ended = &mut serving => { ended?; Drained { abandoned_requests: 0 } }
            drained = drain(&self.engine, &health) => drained,
        };
        closing.cancel();
        match tokio::time::timeout(CLOSE_LIMIT, serving).await {
            Ok(ended) => ended?,
            Err(_) => tracing::info!("connections that clients keep open are closed"),
        }
        Ok(drained)
    }
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
        let config = ServerConfig { grpc: taken.local_addr().expect("bound"), ..ServerConfig::default() };
        assert!(matches!(Reserved::new(&config), Err(ServeError::Bind { .. })));
    }
}
