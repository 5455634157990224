//! From kinds of errors to gRPC status: the service's only table.

use tonic::{Code, Status};
use wisp_core::{ErrorKind, Kinded};

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

/// An error as clients see it.
pub(crate) fn status(error: &(impl Kinded + std::fmt::Display)) -> Status {
    Status::new(code(error.kind()), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_that_says_it_failed() {
        for kind in ErrorKind::ALL {
            assert!(!matches!(code(kind), Code::Ok | Code::Unknown), "{kind:?}");
        }
    }

    #[test]
    fn what_a_client_may_retry_is_told_apart_from_what_it_must_mend() {
        assert_eq!(code(ErrorKind::ResourceExhausted), Code::ResourceExhausted);
        assert_eq!(code(ErrorKind::Unavailable), Code::Unavailable);
        assert_eq!(code(ErrorKind::TooLarge), Code::InvalidArgument);
    }
}
