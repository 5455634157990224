//! Connections: no more than a limit of them, and none that never says what it wants.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

use crate::metrics::{ConnectionCounts, Open};

/// What every HTTP/2 client sends first. Source: RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;

/// A connection within the limit; its place is free again when it is dropped.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Runs until the preface is there: the transport itself would wait for ever.
    handshake: Option<Pin<Box<Sleep>>>,
    read_bytes: usize,
    _open: Open,
    _place: OwnedSemaphorePermit,
}

/// The connections of a listener. One beyond `limit` is closed at once, so that its client tries elsewhere.
pub(crate) fn accept(
    incoming: TcpIncoming,
    limit: usize,
    handshake: Duration,
    counts: ConnectionCounts,
) -> impl Stream<Item = Result<Connection>> {
    let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
    incoming.filter_map(move |accepted| match (accepted, Arc::clone(&places).try_acquire_owned()) {
        (Ok(stream), Ok(place)) => Some(Ok(Connection {
            stream,
            handshake: Some(Box::pin(tokio::time::sleep(handshake))),
            read_bytes: 0,
            _open: counts.open(),
            _place: place,
        })),
        (Ok(_), Err(_)) => {
            counts.refuse();
            tracing::warn!(limit, "a connection is refused: server.limits.connections is reached");
            None
        }
        (Err(error), _) => Some(Err(error)),
    })
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.read_bytes = self.read_bytes.saturating_add(buffer.filled().len() - before);
        if self.read_bytes >= PREFACE_BYTES {
            self.handshake = None;
        }
        let is_late = polled.is_pending()
            && self.handshake.as_mut().is_some_and(|handshake| handshake.as_mut().poll(context).is_ready());
        if is_late {
            let message = "no HTTP/2 preface within server.limits.handshake_ms";
            return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, message)));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::metrics::{Listener, ServerMetrics};

    fn counts() -> ConnectionCounts {
        ServerMetrics::new().connections(Listener::Grpc)
    }

    async fn incoming() -> (TcpIncoming, std::net::SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        (TcpIncoming::from(listener), address)
    }

    #[tokio::test]
    async fn a_client_that_never_speaks_is_ended() {
        let (incoming, address) = incoming().await;
        let mut accepted = Box::pin(accept(incoming, 1, Duration::from_millis(10), counts()));
        let _silent = TcpStream::connect(address).await.expect("listens");
        let mut connection = accepted.next().await.expect("accepted").expect("no error");
        let error = connection.read_u8().await.expect_err("nothing comes");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_its_place_is_free_later() {
        let (incoming, address) = incoming().await;
        let mut accepted = Box::pin(accept(incoming, 1, Duration::from_secs(60), counts()));
        let _first = TcpStream::connect(address).await.expect("listens");
        let connection = accepted.next().await.expect("accepted").expect("no error");
        let mut second = TcpStream::connect(address).await.expect("listens");
        tokio::select! {
            _ = accepted.next() => panic!("is not accepted"),
            read = second.read_u8() => {
                assert!(matches!(read, Err(error) if error.kind() != ErrorKind::TimedOut), "is closed");
            }
        }
        drop(connection);
        let _third = TcpStream::connect(address).await.expect("listens");
        accepted.next().await.expect("accepted").expect("no error");
    }
}
