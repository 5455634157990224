//! Uploads: a request whose message does not arrive in time is ended, and a stream of messages when the service stops.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tower::{Layer, Service};

/// Calls whose messages may come as long as the client likes; that it lives is asked by HTTP/2 (`server.limits.keepalive_ms`).
const STREAMS: [&str; 3] = [
    "/wisp.v1.InferenceService/EmbedStream",
    "/wisp.v1.InferenceService/ClassifyStream",
    "/inference.GRPCInferenceService/ModelStreamInfer",
];

/// Adds [`ReceiveService`].
#[derive(Clone, Debug)]
pub(crate) struct ReceiveLayer {
    /// In which a message must arrive.
    pub(crate) limit: Duration,
    /// Cancelled when the service stops.
    pub(crate) closing: CancellationToken,
}

/// Gives the body of each request an end.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveService<S> {
    inner: S,
    limit: Duration,
    closing: CancellationToken,
}

/// When a body ends that its client does not end.
type End = Pin<Box<dyn Future<Output = Status> + Send>>;

/// A body that fails with the status of its end, if that comes first.
struct EndedBody {
    inner: tonic::body::Body,
    /// `None` once that came.
    end: Option<End>,
}

impl<S> Layer<S> for ReceiveLayer {
    type Service = ReceiveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReceiveService { inner, limit: self.limit, closing: self.closing.clone() }
    }
}

impl<S> Service<Request<tonic::body::Body>> for ReceiveService<S>
where
    S: Service<Request<tonic::body::Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let end = match STREAMS.contains(&request.uri().path()) {
            true => stopped(self.closing.clone()),
            false => late(self.limit),
        };
        self.inner.call(request.map(|inner| tonic::body::Body::new(EndedBody { inner, end: Some(end) })))
    }
}

/// What was read before is answered; no message more is.
fn stopped(closing: CancellationToken) -> End {
    Box::pin(async move {
        closing.cancelled_owned().await;
        Status::unavailable("the server is shutting down; go on with another one")
    })
}

fn late(limit: Duration) -> End {
    let expiry = tokio::time::sleep(limit);
    Box::pin(async move {
        expiry.await;
        let limit_ms = limit.as_millis();
        Status::deadline_exceeded(format!("the request did not arrive within {limit_ms} ms (server.limits.receive_ms)"))
    })
}

impl Body for EndedBody {
    type Data = <tonic::body::Body as Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        // First of all: a client that always sends would never be told otherwise.
        if let Poll::Ready(status) = end.as_mut().poll(context) {
            self.end = None;
            return Poll::Ready(Some(Err(status)));
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of which nothing ever arrives.
    struct Silent;

    impl Body for Silent {
        type Data = <tonic::body::Body as Body>::Data;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
            Poll::Pending
        }
    }

    fn layer(closing: CancellationToken) -> ReceiveLayer {
        ReceiveLayer { limit: Duration::from_secs(30), closing }
    }

    async fn read(request: Request<tonic::body::Body>) -> Result<(), Status> {
        let mut body = request.into_body();
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.expect("a frame").map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_be_silent_and_ends_with_the_service() {
        let closing = CancellationToken::new();
        let mut service = layer(closing.clone()).layer(tower::service_fn(read));
        let request = Request::post(STREAMS[0]).body(tonic::body::Body::new(Silent)).expect("a request");
        let mut reading = std::pin::pin!(service.call(request));
        assert!(tokio::time::timeout(Duration::from_secs(3600), &mut reading).await.is_err(), "it goes on");
        closing.cancel();
        assert_eq!(reading.await.expect_err("ends").code(), tonic::Code::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_arrives_ends_the_request_by_name_of_the_limit() {
        let mut service = layer(CancellationToken::new()).layer(tower::service_fn(read));
        let error = service.call(Request::new(tonic::body::Body::new(Silent))).await.expect_err("too late");
        assert_eq!(error.message(), "the request did not arrive within 30000 ms (server.limits.receive_ms)");
    }
}
