//! Bodies of requests and answers, with errors that everybody understands.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::AbortOnDrop;

/// The body of a guest's answer. Dropping it before its end ends the guest; after it, the guest may do what is left to do, within
/// the limits of its call.
pub struct GuestBody {
    body: HyperOutgoingBody,
    guest: AbortOnDrop,
}

/// Why a guest's body broke off.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the application's answer broke off: {0}")]
pub struct GuestBodyError(String);

impl GuestBody {
    pub(super) fn new(body: HyperOutgoingBody, guest: AbortOnDrop) -> Self {
        Self { body, guest }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = GuestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GuestBodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.guest.let_go();
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(|code| GuestBodyError(code.to_string()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A failure of the client's connection, as the guest is told of it.
pub(super) fn incoming_error(error: &impl std::fmt::Display) -> wasmtime_wasi_http::Error {
    wasmtime_wasi_http::Error::InternalError(Some(error.to_string()))
}
