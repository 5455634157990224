//! Bindings generated from the WIT of the proposal, and its errors as errors of Rust.

use std::fmt;

pub(crate) use self::wasi::nn::errors::{Error, ErrorCode};
pub(crate) use self::wasi::nn::graph::{ExecutionTarget, Graph, GraphEncoding, load, load_by_name};
pub(crate) use self::wasi::nn::tensor::{Tensor, TensorType};

wit_bindgen::generate!({
    path: "../../../../guest-sdk/wit/deps/wasi-nn",
    world: "ml",
    generate_all,
});

/// What the host said about a call that failed, apart from the handle that it said it by.
#[derive(Debug)]
pub(crate) struct HostError {
    code: ErrorCode,
    message: String,
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: error.data() }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", code_name(self.code), self.message)
    }
}

impl std::error::Error for HostError {}

/// A code by its name in the WIT.
fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "invalid-argument",
        ErrorCode::InvalidEncoding => "invalid-encoding",
        ErrorCode::Timeout => "timeout",
        ErrorCode::RuntimeError => "runtime-error",
        ErrorCode::UnsupportedOperation => "unsupported-operation",
        ErrorCode::TooLarge => "too-large",
        ErrorCode::NotFound => "not-found",
        ErrorCode::Security => "security",
        ErrorCode::Unknown => "unknown",
    }
}
