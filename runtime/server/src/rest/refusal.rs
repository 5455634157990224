//! Why a request is not answered, before a protocol has put it into its own words.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{HeaderMap, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use wisp_engine::EngineError;

use super::dialect::Dialect;
use crate::status::retry_headers;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody has its token.
    Identity(String),
    /// Its tenant may not use what is deployed.
    Forbidden(String),
    /// The path does not take its method.
    Method(String),
    /// Its body is not JSON by its own account.
    MediaType(String),
    /// Its body is larger than is taken.
    Size(String),
    /// Its body did not arrive in time.
    Late(String),
    /// Its body is not JSON.
    Syntax(String),
    /// A value in it cannot be meant.
    Value {
        /// Which one, as a path into the body.
        place: Option<String>,
        /// What is wrong with it.
        message: String,
    },
    /// No deployment can answer.
    Unhealthy(String),
    /// The engine refuses it.
    Engine(EngineError),
}

/// A refusal in the words of a protocol.
pub(super) struct Refused<D> {
    refusal: Refusal,
    dialect: std::marker::PhantomData<D>,
}

impl Refusal {
    /// When it may be worth sending the request again, from now.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Engine(error) => error.retry_after(),
            _ => None,
        }
    }

    /// What stands in the headers of every protocol.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Self::Identity(_) = self {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after() {
            headers.extend(retry_headers(wait));
        }
        headers
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity(message)
            | Self::Forbidden(message)
            | Self::Method(message)
            | Self::MediaType(message)
            | Self::Size(message)
            | Self::Late(message)
            | Self::Syntax(message)
            | Self::Value { message, .. }
            | Self::Unhealthy(message) => f.write_str(message),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

impl<D, E: Into<Refusal>> From<E> for Refused<D> {
    fn from(error: E) -> Self {
        Self { refusal: error.into(), dialect: std::marker::PhantomData }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl<D: Dialect> IntoResponse for Refused<D> {
    fn into_response(self) -> Response {
        D::response(&self.refusal)
    }
}
