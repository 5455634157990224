//! From kinds of errors to the status of gRPC, and of HTTP: the service's only tables.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode, Uri};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use utoipa::ToSchema;
use wisp_core::{ErrorKind, Kinded};
use wisp_engine::EngineError;

/// The status code for each kind.
pub(crate) fn code(kind: ErrorKind) -> Code {
    match kind {
        // A request that is too large stays so; only time can help with what is exhausted.
        ErrorKind::InvalidArgument | ErrorKind::TooLarge => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The status of HTTP for each kind. Source: the codes of gRPC, as `google/rpc/code.proto` maps them.
pub(crate) fn http_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Cancelled | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What clients of text-embeddings-inference tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum TeiErrorType {
    /// No model can answer.
    Unhealthy,
    /// The model or its guest failed, or does not do this.
    Backend,
    /// There is no room now.
    Overloaded,
    /// The request is wrong.
    Validation,
    /// The request has nothing in it.
    Empty,
}

/// The status and the type of text-embeddings-inference for each kind; what it has no word for is as HTTP has it.
pub(crate) fn tei_status(kind: ErrorKind) -> (StatusCode, TeiErrorType) {
    match kind {
        ErrorKind::InvalidArgument => (StatusCode::UNPROCESSABLE_ENTITY, TeiErrorType::Validation),
        ErrorKind::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, TeiErrorType::Overloaded),
        ErrorKind::Unavailable | ErrorKind::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, TeiErrorType::Unhealthy),
        ErrorKind::Internal | ErrorKind::Unsupported => (StatusCode::FAILED_DEPENDENCY, TeiErrorType::Backend),
        ErrorKind::DeadlineExceeded => (http_status(kind), TeiErrorType::Overloaded),
        ErrorKind::TooLarge | ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            (http_status(kind), TeiErrorType::Validation)
        }
    }
}

/// What is told where a path is asked with a method that it does not take.
pub(crate) fn wrong_method(uri: &Uri, method: &Method) -> String {
    format!("{} does not take {method}; the header `allow` says what it takes", uri.path())
}

/// When trying again may help, for HTTP. OpenAI's clients read `retry-after-ms` first, because it has milliseconds.
pub(crate) fn retry_headers(wait: Duration) -> HeaderMap {
    // The standard header has whole seconds.
    let seconds = HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64);
    let milliseconds = HeaderValue::from((wait.as_secs_f64() * 1e3).ceil() as u64);
    HeaderMap::from_iter([(RETRY_AFTER, seconds), (HeaderName::from_static("retry-after-ms"), milliseconds)])
}

/// An error as clients see it; `google.rpc.RetryInfo` says when trying again may help.
pub(crate) fn status(error: &EngineError) -> Status {
    let (code, message) = (code(error.kind()), error.to_string());
    match error.retry_after() {
        Some(delay) => Status::with_error_details(code, message, ErrorDetails::with_retry_info(Some(delay))),
        None => Status::new(code, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_that_says_it_failed() {
        for kind in ErrorKind::ALL {
            assert!(!matches!(code(kind), Code::Ok | Code::Unknown), "{kind:?}");
            for status in [http_status(kind), tei_status(kind).0] {
                assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
            }
        }
    }

    #[test]
    fn what_is_overloaded_says_when_to_try_again_and_what_is_wrong_does_not() {
        let retry_after = std::time::Duration::from_millis(1500);
        let overloaded = wisp_engine::CallError::Overloaded { message: "later".to_owned(), retry_after };
        let status = status(&EngineError::Call(overloaded));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().expect("RetryInfo");
        assert_eq!(retry.retry_delay, Some(retry_after));
        assert!(super::status(&EngineError::NoTexts).details().is_empty());
    }

    #[test]
    fn what_a_client_may_retry_is_told_apart_from_what_it_must_mend() {
        assert_eq!(code(ErrorKind::ResourceExhausted), Code::ResourceExhausted);
        assert_eq!(code(ErrorKind::Unavailable), Code::Unavailable);
        assert_eq!(code(ErrorKind::TooLarge), Code::InvalidArgument);
    }
}
