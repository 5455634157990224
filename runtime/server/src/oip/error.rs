//! Why a request of the protocol is not answered, for both of its transports.

use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use tonic::{Code, Status};
use wisp_core::{ErrorKind, Kinded};
use wisp_engine::EngineError;

use super::VERSION;
use super::datatype::Datatype;
use super::parameters::ParameterFault;
use super::tensors::TensorFault;
use crate::status;
use crate::upload::NotReceived;

/// What is wrong with a request, or went wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OipError {
    #[error(transparent)]
    Tensor(#[from] TensorFault),
    #[error(transparent)]
    Parameter(#[from] ParameterFault),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("model `{model}` has version {VERSION} only, not `{version}`; leave the version out, or send {VERSION}")]
    Version { model: String, version: String },
    #[error("input `{name}` does not exist; `{model}` takes {expected}")]
    Input { model: String, name: String, expected: String },
    #[error("input `{name}` of `{model}` must be {expected}, got {actual}")]
    Datatype { model: String, name: String, expected: Datatype, actual: Datatype },
    #[error("output `{name}` does not exist; `{model}` gives {available}")]
    Output { model: String, name: String, available: String },
    #[error("output `{name}` is asked for twice")]
    OutputTwice { name: String },
    #[error(
        "raw_input_contents has {raw} entries for {inputs} inputs; send one for each input, in the order of the inputs"
    )]
    RawCount { raw: usize, inputs: usize },
    #[error("input `{name}` has contents beside raw_input_contents; send all inputs in one of the two ways")]
    RawAndContents { name: String },
    #[error("{0}")]
    Body(String),
    #[error(transparent)]
    NotReceived(#[from] NotReceived),
    #[error("output `{name}` cannot be written as JSON: {reason}; ask for it with the parameter `binary_data`")]
    NotJson { name: String, reason: &'static str },
    #[error("{0}")]
    Unsupported(String),
    #[error("what was in service stays so: {0}")]
    Load(String),
    #[error("{}", .0.message())]
    Identity(Status),
}

impl Kinded for OipError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Tensor(error) => error.kind(),
            Self::Parameter(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Version { .. } => ErrorKind::NotFound,
            Self::Unsupported(_) | Self::NotJson { .. } => ErrorKind::Unsupported,
            Self::NotReceived(NotReceived::TooLarge { .. }) => ErrorKind::TooLarge,
            Self::NotReceived(NotReceived::Late { .. }) => ErrorKind::DeadlineExceeded,
            Self::Identity(_) => ErrorKind::PermissionDenied,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

impl OipError {
    /// As gRPC says it.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Engine(error) => status::status(error),
            Self::Identity(status) => status.clone(),
            other => Status::new(status::code(other.kind()), other.to_string()),
        }
    }
}

impl IntoResponse for OipError {
    /// As REST says it: `{"error": MESSAGE}`.
    fn into_response(self) -> Response {
        let is_unknown = matches!(&self, Self::Identity(status) if status.code() == Code::Unauthenticated);
        let status = match &self {
            _ if is_unknown => StatusCode::UNAUTHORIZED,
            Self::NotReceived(problem) => problem.status(),
            other => status::http_status(other.kind()),
        };
        let body = axum::Json(serde_json::json!({ "error": self.to_string() }));
        let mut response = (status, body).into_response();
        if is_unknown {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::Engine(error) = &self
            && let Some(wait) = error.retry_after()
        {
            response.headers_mut().extend(status::retry_headers(wait));
        }
        response
    }
}
