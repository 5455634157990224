//! The kinds of failure that callers can tell apart.

/// What went wrong, as far as a caller acts on it. Each component has its own error type; every one of them maps to a kind,
/// and only two tables map kinds further: the server's (gRPC status) and the host's (`wasi:nn` error code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong: shape, type, text, option.
    InvalidArgument,
    /// A deployment, model, file or tensor of that name does not exist.
    NotFound,
    /// It exists, and this caller may not use it.
    PermissionDenied,
    /// A stated limit on size was passed: bytes, rows, tokens.
    TooLarge,
    /// No room now: a queue, pool or quota is full. Trying again later can work.
    ResourceExhausted,
    /// The deadline of the request or the time limit of the guest passed.
    DeadlineExceeded,
    /// The caller left.
    Cancelled,
    /// Draining or not ready yet.
    Unavailable,
    /// A valid request for something this build, model or backend does not do.
    Unsupported,
    /// A fault that the caller did not cause: a guest that trapped, a backend that failed, a broken file.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tests that a mapping table is complete.
    pub const ALL: [Self; 10] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::PermissionDenied,
        Self::TooLarge,
        Self::ResourceExhausted,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::Unavailable,
        Self::Unsupported,
        Self::Internal,
    ];
}

/// An error that knows its kind.
pub trait Kinded {
    /// The kind a caller acts on.
    fn kind(&self) -> ErrorKind;
}
