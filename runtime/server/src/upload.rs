//! The body of a request over HTTP, within a size and a time.

use std::time::Duration;

use axum::extract::{FromRef, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use wisp_engine::{Engine, RequestLimits};

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
pub(crate) async fn receive(body: axum::body::Body, limits: &RequestLimits) -> Result<Bytes, NotReceived> {
    let (limit, limit_ms) = (limits.message_bytes, limits.receive_ms);
    // Whoever says so beforehand need not send it.
    if body.size_hint().lower() > limit as u64 {
        return Err(NotReceived::TooLarge { limit });
    }
    let received = Limited::new(body, limit).collect();
    match tokio::time::timeout(Duration::from_millis(limit_ms), received).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(NotReceived::TooLarge { limit }),
        Ok(Err(error)) => Err(NotReceived::BrokenOff(error.to_string())),
        Err(_) => Err(NotReceived::Late { limit_ms }),
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
        assert_eq!(receive(axum::body::Body::from("1234"), &limits).await.expect("fits"), "1234");
        let error = receive(axum::body::Body::from("12345"), &limits).await.expect_err("too large").to_string();
        assert_eq!(error, "the body is larger than 4 bytes (server.limits.message_bytes)");
        let chunks = tokio_stream::iter(["123", "45"].map(Ok::<_, std::io::Error>));
        let error = receive(axum::body::Body::from_stream(chunks), &limits).await.expect_err("grows too large");
        assert!(matches!(error, NotReceived::TooLarge { .. }), "{error:?}");
        let never = tokio_stream::pending::<Result<&str, std::io::Error>>();
        let error = receive(axum::body::Body::from_stream(never), &limits).await.expect_err("never comes").to_string();
        assert_eq!(error, "the body did not arrive within 50 ms (server.limits.receive_ms)");
    }
}
