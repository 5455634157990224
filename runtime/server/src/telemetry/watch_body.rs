//! The body of an answer whose request is watched: with it, the request ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use wisp_engine::observe;

use super::request::Outcome;
use super::watch::Watched;

/// A body, and what is to be told when it ends.
pub(crate) struct WatchedBody<B> {
    inner: B,
    watched: Watched,
    /// How a request that is none of gRPC ends, whatever becomes of its body.
    status: Outcome,
}

impl<B> WatchedBody<B> {
    pub(super) fn new(inner: B, watched: Watched, status: Outcome) -> Self {
        Self { inner, watched, status }
    }
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Self { inner, watched, status } = &mut *self;
        // What answers in a stream works while the body is asked for.
        let polled = observe::observed_now(watched.observer(), || Pin::new(&mut *inner).poll_frame(context));
        match &polled {
            Poll::Ready(Some(Ok(frame))) if watched.is_grpc() => {
                if let Some(outcome) = frame.trailers_ref().and_then(Outcome::of_grpc) {
                    watched.end(&outcome);
                }
            }
            // The transport does not ask again when it knows that this was all.
            Poll::Ready(Some(Ok(_))) if inner.is_end_stream() => watched.end(status),
            Poll::Ready(None) if !watched.is_grpc() => watched.end(status),
            Poll::Ready(Some(Ok(_)) | Some(Err(_)) | None) | Poll::Pending => {}
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
