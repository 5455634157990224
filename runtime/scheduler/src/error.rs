//! Why an inference did not happen.

use std::time::Duration;

use wisp_core::{BackendError, ErrorKind, Kinded};

/// A refusal or failure between admission and the session.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A bound is reached.
    #[error("the limit of {limit} {what} is reached; try again later")]
    Full {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A tenant has as many requests in flight as it may.
    #[error("tenant `{tenant}` has its limit of {limit} requests in flight; try again later")]
    Quota {
        /// The tenant.
        tenant: String,
        /// The bound.
        limit: usize,
    },
    /// The answer would come too late.
    #[error(
        "model `{model}` is overloaded: an answer would take {} ms, longer than this request may; try again later",
        .wait.as_millis()
    )]
    Overloaded {
        /// The model.
        model: String,
        /// When this one would have been answered, from now.
        wait: Duration,
    },
    /// The deadline passed while the inference waited or ran.
    #[error("the deadline passed before the inference of model `{model}` was done")]
    Deadline {
        /// The model.
        model: String,
    },
    /// The session was shut down.
    #[error("model `{model}` is shutting down")]
    Closed {
        /// The model.
        model: String,
    },
    /// The session panicked. It stays in service: the panic is logged, and its caller is the only one to notice.
    #[error("the session of model `{model}` panicked during an inference")]
    Panicked {
        /// The model.
        model: String,
    },
    /// The session answered in shapes that make no sense.
    #[error("the outputs of model `{model}` are not as they should be: {reason}")]
    Outputs {
        /// The model.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// The session did not come back; another one takes its place.
    #[error("an inference of model `{model}` did not end within {} s and was given up", .ran.as_secs())]
    Hung {
        /// The model.
        model: String,
        /// How long it ran.
        ran: Duration,
    },
    /// The session does not answer what it is known to answer; it is tried again by itself.
    #[error("model `{model}` is out of service and will be tried again: {reason}")]
    Unhealthy {
        /// The model.
        model: String,
        /// What went wrong.
        reason: String,
    },
    /// The session failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Kinded for ScheduleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } | Self::Quota { .. } | Self::Overloaded { .. } => ErrorKind::ResourceExhausted,
            Self::Deadline { .. } => ErrorKind::DeadlineExceeded,
            Self::Closed { .. } | Self::Unhealthy { .. } => ErrorKind::Unavailable,
            Self::Panicked { .. } | Self::Outputs { .. } | Self::Hung { .. } => ErrorKind::Internal,
            Self::Backend(error) => error.kind(),
        }
    }
}
