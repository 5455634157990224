//! Deadlines of clients, and the three statuses in which the transport's choice is not the one that clients expect.
//!
//! The transport answers CANCELLED when the time of `grpc-timeout` is over, OUT_OF_RANGE to a message over the limit, and
//! INTERNAL to a malformed one; clients know these as DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED and INVALID_ARGUMENT. This layer lies inside the transport's own timeout
//! and fires a moment earlier.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// How much earlier than the transport this layer gives up: two ticks of the timer, so that it always wins.
const MARGIN: Duration = Duration::from_millis(2);

/// The header of the gRPC protocol that carries what is left of a deadline.
const TIMEOUT_HEADER: &str = "grpc-timeout";
const STATUS_HEADER: &str = "grpc-status";
const MESSAGE_HEADER: &str = "grpc-message";

/// How prost's errors start in a header.
const UNDECODABLE: &str = "failed%20to%20decode%20Protobuf%20message";

/// When the client stops waiting; an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Adds [`DeadlineService`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadlineLayer {
    pub(crate) message_limit_bytes: usize,
}

/// Enforces `grpc-timeout` and corrects statuses.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineService<S> {
    inner: S,
    message_limit_bytes: usize,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, message_limit_bytes: self.message_limit_bytes }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for DeadlineService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ResponseBody: Default + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let deadline = timeout(request.headers()).map(|timeout| Instant::now() + timeout.saturating_sub(MARGIN));
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let answer = self.inner.call(request);
        let message_limit_bytes = self.message_limit_bytes;
        Box::pin(async move {
            let answered = match deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, answer).await {
                    Ok(answered) => answered,
                    Err(_) => return Ok(Status::deadline_exceeded("the deadline of the request passed").into_http()),
                },
                None => answer.await,
            };
            answered.map(|response| correct(response, message_limit_bytes))
        })
    }
}

/// Turns OUT_OF_RANGE, which nothing but the transport's message limit gives, and INTERNAL for a malformed message into what
/// clients expect.
fn correct<B>(mut response: Response<B>, message_limit_bytes: usize) -> Response<B> {
    if is_status(response.headers(), Code::OutOfRange) {
        let message = format!("the message is larger than {message_limit_bytes} bytes (server.limits.message_bytes)");
        let headers = response.headers_mut();
        headers.insert(STATUS_HEADER, HeaderValue::from(Code::ResourceExhausted as i32));
        if let Ok(message) = HeaderValue::from_str(&message.replace(' ', "%20")) {
            headers.insert(MESSAGE_HEADER, message);
        }
    }
    if is_status(response.headers(), Code::Internal) && is_undecodable(response.headers()) {
        // The transport takes the blame for a message that its sender got wrong.
        response.headers_mut().insert(STATUS_HEADER, HeaderValue::from(Code::InvalidArgument as i32));
    }
    response
}

/// Whether the transport could not read the message of the request; its own words, percent-encoded.
fn is_undecodable(headers: &HeaderMap) -> bool {
    let message = headers.get(MESSAGE_HEADER).and_then(|message| message.to_str().ok());
    message.is_some_and(|message| message.starts_with(UNDECODABLE))
}

fn is_status(headers: &HeaderMap, code: Code) -> bool {
    headers.get(STATUS_HEADER).is_some_and(|status| Code::from_bytes(status.as_bytes()) == code)
}

/// How long the sender of a request waits, if it says so in a way that the protocol knows.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    headers.get(TIMEOUT_HEADER).and_then(parse_timeout)
}

/// Reads `grpc-timeout`: at most eight digits and a unit. Source: gRPC over HTTP/2, "Timeout".
fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_timeouts_of_the_protocol_and_nothing_else() {
        let read = |text: &'static str| parse_timeout(&HeaderValue::from_static(text));
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        for wrong in ["", "S", "5", "123456789S", "-1S", "+1S", "1 S", "1s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_too_long_is_answered_with_deadline_exceeded() {
        let never = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, ()>>());
        let mut service = DeadlineLayer { message_limit_bytes: 0 }.layer(never);
        let request = Request::builder().header(TIMEOUT_HEADER, "50m").body(()).expect("valid");
        let response = service.call(request).await.expect("answered");
        assert!(is_status(response.headers(), Code::DeadlineExceeded));
    }

    #[test]
    fn a_malformed_message_is_its_senders_fault() {
        let undecodable = Status::internal("failed to decode Protobuf message: buffer underflow");
        let response = correct(undecodable.into_http::<()>(), 0);
        assert!(is_status(response.headers(), Code::InvalidArgument));
        let other = correct(Status::internal("the guest trapped").into_http::<()>(), 0);
        assert!(is_status(other.headers(), Code::Internal));
    }

    #[tokio::test]
    async fn the_handler_learns_the_deadline() {
        let echo = tower::service_fn(|request: Request<()>| async move {
            Ok::<_, ()>(Response::new(request.extensions().get::<Deadline>().copied().map(|_| ())))
        });
        let mut service = DeadlineLayer { message_limit_bytes: 0 }.layer(echo);
        let request = Request::builder().header(TIMEOUT_HEADER, "1H").body(()).expect("valid");
        assert!(service.call(request).await.expect("answered").into_body().is_some());
    }
}
