//! The error of every call in a guest: its kind, and a message that names the thing and the remedy.

use std::fmt;

use crate::bindings::wasi::nn::errors;
use crate::bindings::wisp::inference::types;
pub use crate::bindings::wisp::inference::types::ErrorKind;

/// Why a call failed. A guest may hand it on unchanged: the client then sees the host's own kind and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong, as far as a caller acts on it.
    pub kind: ErrorKind,
    /// Names the thing and the remedy; lower case, no full stop.
    pub message: String,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The caller's text, token or option is wrong.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// A valid request for something that this model or guest does not do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A fault that the caller did not cause.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self { kind: error.kind, message: error.message }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        Self { kind: error.kind, message: error.message }
    }
}

impl From<errors::Error> for Error {
    /// Keeps the host's message. `wasi:nn` has fewer codes than there are kinds, so the kind is the nearest one.
    fn from(error: errors::Error) -> Self {
        Self { kind: kind_of(error.code()), message: error.data() }
    }
}

/// The kind that a code of `wasi:nn` stands for.
fn kind_of(code: errors::ErrorCode) -> ErrorKind {
    use errors::ErrorCode;
    match code {
        ErrorCode::InvalidArgument | ErrorCode::InvalidEncoding => ErrorKind::InvalidArgument,
        ErrorCode::Timeout => ErrorKind::DeadlineExceeded,
        ErrorCode::UnsupportedOperation => ErrorKind::Unsupported,
        ErrorCode::TooLarge => ErrorKind::TooLarge,
        ErrorCode::NotFound => ErrorKind::NotFound,
        ErrorCode::Security => ErrorKind::PermissionDenied,
        ErrorCode::RuntimeError | ErrorCode::Unknown => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_every_code_of_wasi_nn_to_the_nearest_kind() {
        use errors::ErrorCode;
        for (code, kind) in [
            (ErrorCode::InvalidArgument, ErrorKind::InvalidArgument),
            (ErrorCode::InvalidEncoding, ErrorKind::InvalidArgument),
            (ErrorCode::Timeout, ErrorKind::DeadlineExceeded),
            (ErrorCode::RuntimeError, ErrorKind::Internal),
            (ErrorCode::UnsupportedOperation, ErrorKind::Unsupported),
            (ErrorCode::TooLarge, ErrorKind::TooLarge),
            (ErrorCode::NotFound, ErrorKind::NotFound),
            (ErrorCode::Security, ErrorKind::PermissionDenied),
            (ErrorCode::Unknown, ErrorKind::Internal),
        ] {
            assert_eq!(kind_of(code), kind, "{code:?}");
        }
    }

    #[test]
    fn passes_the_kind_and_the_words_on_unchanged() {
        let error = Error::new(ErrorKind::TooLarge, "text 3 has 400 tokens");
        assert_eq!(error.to_string(), "text 3 has 400 tokens");
        let handed_on = Error::from(types::Error::from(error.clone()));
        assert_eq!(handed_on, error);
    }
}
