//! Uploads: a request whose message does not arrive in time is ended.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tower::{Layer, Service};

/// Calls whose messages may come as long as the client likes; that it lives is asked by HTTP/2 (`server.limits.keepalive_ms`).
const STREAMS: [&str; 2] =
    ["/wisp.v1.InferenceService/ClassifyStream", "/inference.GRPCInferenceService/ModelStreamInfer"];

/// Adds [`ReceiveService`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveLayer {
    pub(crate) limit: Duration,
}

/// Gives the body of each request a time limit.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveService<S> {
    inner: S,
    limit: Duration,
}

/// A body that fails when it has not ended in time.
struct TimedBody {
    inner: tonic::body::Body,
    expiry: Pin<Box<Sleep>>,
    limit: Duration,
}

impl<S> Layer<S> for ReceiveLayer {
    type Service = ReceiveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReceiveService { inner, limit: self.limit }
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
        if STREAMS.contains(&request.uri().path()) {
            return self.inner.call(request);
        }
        let limit = self.limit;
        let timed = |inner| TimedBody { inner, expiry: Box::pin(tokio::time::sleep(limit)), limit };
        self.inner.call(request.map(|body| tonic::body::Body::new(timed(body))))
    }
}

impl Body for TimedBody {
    type Data = <tonic::body::Body as Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if polled.is_pending() && self.expiry.as_mut().poll(context).is_ready() {
            let limit_ms = self.limit.as_millis();
            let message = format!("the request did not arrive within {limit_ms} ms (server.limits.receive_ms)");
            return Poll::Ready(Some(Err(Status::deadline_exceeded(message))));
        }
        polled
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

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_arrives_ends_the_request_by_name_of_the_limit() {
        let read = tower::service_fn(|request: Request<tonic::body::Body>| async move {
            let mut body = request.into_body();
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.expect("a frame").map(|_| ())
        });
        let mut service = ReceiveLayer { limit: Duration::from_secs(30) }.layer(read);
        let error = service.call(Request::new(tonic::body::Body::new(Silent))).await.expect_err("too late");
        assert_eq!(error.message(), "the request did not arrive within 30000 ms (server.limits.receive_ms)");
    }
}
