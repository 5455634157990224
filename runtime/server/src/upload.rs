//! The body of a request over HTTP, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use wisp_engine::{Engine, RequestLimits};

/// How long, and how much, is read of a body that is refused for its size.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 << 20;

/// A whole body.
pub(crate) struct Upload(pub(crate) Bytes);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReceived {
    #[error("the body is larger than {limit} bytes (server.limits.message_bytes)")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {limit_ms} ms (server.limits.receive_ms)")]
    Late { limit_ms: u64 },
    #[error("the body broke off: {0}")]
    BrokenOff(String),
}

impl NotReceived {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BrokenOff(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body.
///
/// # Errors
/// [`NotReceived`] as soon as it is known.
pub(crate) async fn receive(mut body: Body, limits: &RequestLimits) -> Result<Bytes, NotReceived> {
    let limit_ms = limits.receive_ms;
    let received =
        tokio::time::timeout(Duration::from_millis(limit_ms), collect(&mut body, limits.message_bytes)).await;
    let received = received.unwrap_or(Err(NotReceived::Late { limit_ms }));
    if let Err(NotReceived::TooLarge { .. }) = received {
        tokio::spawn(tokio::time::timeout(LINGER, discard(body)));
    }
    received
}

async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, NotReceived> {
    // Whoever says so beforehand is told at once.
    if body.size_hint().lower() > limit as u64 {
        return Err(NotReceived::TooLarge { limit });
    }
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NotReceived::BrokenOff(error.to_string()))?;
        let data = frame.into_data().unwrap_or_default();
        if data.len() > limit - received.len() {
            return Err(NotReceived::TooLarge { limit });
        }
        received.extend_from_slice(&data);
    }
    Ok(received.freeze())
}

/// Many clients read no answer before they have sent everything, and a connection that is closed under them takes the answer with
/// it: the rest is read and thrown away for a while.
async fn discard(mut body: Body) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl<S> FromRequest<S> for Upload
where
    Engine: FromRef<S>,
    S: Sync,
{
    type Rejection = NotReceived;

    async fn from_request(request: Request, state: &S) -> Result<Self, NotReceived> {
        receive(request.into_body(), Engine::from_ref(state).limits()).await.map(Self)
    }
}

/// For routes that do not say it in a form of their own.
impl IntoResponse for NotReceived {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_size_and_a_time() {
        let limits = RequestLimits { message_bytes: 4, receive_ms: 50, ..RequestLimits::default() };
        assert_eq!(receive(Body::from("1234"), &limits).await.expect("fits"), "1234");
        let error = receive(Body::from("12345"), &limits).await.expect_err("too large").to_string();
        assert_eq!(error, "the body is larger than 4 bytes (server.limits.message_bytes)");
        let chunks = tokio_stream::iter(["123", "45"].map(Ok::<_, std::io::Error>));
        let error = receive(Body::from_stream(chunks), &limits).await.expect_err("grows too large");
        assert!(matches!(error, NotReceived::TooLarge { .. }), "{error:?}");
        let never = tokio_stream::pending::<Result<&str, std::io::Error>>();
        let error = receive(Body::from_stream(never), &limits).await.expect_err("never comes").to_string();
        assert_eq!(error, "the body did not arrive within 50 ms (server.limits.receive_ms)");
    }
}
