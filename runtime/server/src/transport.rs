//! From a listener to requests: connections within a limit, encrypted or not, speaking either version of HTTP.
//!
//! One loop serves every listener that clients use. What tonic's own server does as well (streams, keep-alive, GOAWAY) is done
//! here by hyper directly, because certificates are exchanged while it runs, one port may carry gRPC and plain HTTP, and
//! connections end by age.

mod connection;
mod conversation;
mod peer;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wisp_engine::RequestLimits;

use crate::front::Front;
use crate::metrics::ConnectionCounts;
use crate::telemetry::Watch;
use connection::Connection;
use conversation::Conversations;
pub(crate) use peer::Peer;
pub use tls::TlsError;
pub(crate) use tls::{Certificates, Refresh};

/// How long nothing is accepted after the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener with what is served there.
pub(crate) struct Transport {
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    conversations: Arc<Conversations>,
    places: Arc<Semaphore>,
    limit: usize,
    handshake: Duration,
    counts: ConnectionCounts,
}

impl Transport {
    pub(crate) fn new(
        listener: TcpListener,
        front: Front,
        certificates: Option<Arc<Certificates>>,
        limits: &RequestLimits,
        counts: ConnectionCounts,
    ) -> Self {
        Self {
            listener,
            certificates,
            conversations: Arc::new(Conversations::new(front, limits)),
            places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            limit: limits.connections,
            handshake: Duration::from_millis(limits.handshake_ms),
            counts,
        }
    }

    /// The same with requests that are watched, until their answers are sent.
    pub(crate) fn watched_by(self, watch: &Watch) -> Self {
        Self { conversations: Arc::new(self.conversations.watched_by(watch)), ..self }
    }

    /// Serves until `closing` is cancelled. Then nothing is accepted any more, every connection is told to end (GOAWAY, or
    /// `connection: close`), and this returns when the last of them did. Dropping the future cuts off what is left.
    pub(crate) async fn serve(self, closing: CancellationToken) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = open.join_next() => continue,
                () = closing.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => self.open(stream, &mut open, &closing),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // The port is free at once: who comes now must go elsewhere.
        drop(self.listener);
        while open.join_next().await.is_some() {}
    }

    /// One beyond the limit is closed at once, so that its client tries elsewhere.
    fn open(&self, stream: TcpStream, open: &mut JoinSet<()>, closing: &CancellationToken) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.counts.refuse();
            tracing::warn!(limit = self.limit, "a connection is refused: server.limits.connections is reached");
            return;
        };
        let counted = self.counts.open();
        let (conversations, closing) = (Arc::clone(&self.conversations), closing.clone());
        let (certificates, handshake) = (self.certificates.clone(), self.handshake);
        open.spawn(async move {
            let _counted = counted;
            match establish(stream, certificates, handshake, place).await {
                Ok((connection, peer)) => conversations.hold(connection, peer, closing).await,
                Err(error) => tracing::debug!(%error, "a connection was not established"),
            }
        });
    }
}

/// Encrypts, where it is configured; whoever does not finish the handshake in time is let go.
async fn establish(
    stream: TcpStream,
    certificates: Option<Arc<Certificates>>,
    handshake: Duration,
    place: OwnedSemaphorePermit,
) -> std::io::Result<(Connection, Peer)> {
    // Answers are small, and whoever waits for one does not want it to wait for another.
    stream.set_nodelay(true)?;
    let peer = Peer::of(&stream);
    let Some(certificates) = certificates else { return Ok((Connection::plain(stream, handshake, place), peer)) };
    let accepting = certificates.acceptor().accept(stream);
    let Ok(accepted) = tokio::time::timeout(handshake, accepting).await else {
        let message = "no TLS handshake within server.limits.handshake_ms";
        return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
    };
    let stream = accepted?;
    let peer = peer.encrypted(stream.get_ref().1.peer_certificates());
    Ok((Connection::encrypted(stream, handshake, place), peer))
}
