//! Why a message of `wisp.v1` is not answered, and how its client is told.

use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wisp_engine::{Engine, EngineError};
use wisp_proto::v1;

use crate::caller::Caller;
use crate::embed::answer::nanoseconds;
use crate::status::status;

/// Why a message is not answered.
pub(crate) enum Refusal {
    /// It cannot be meant.
    Message(Status),
    /// The engine refuses it.
    Engine(EngineError),
}

impl Refusal {
    /// As the status of a call of this name; told to the figures as well.
    pub(crate) fn of_call(self, engine: &Engine, caller: &Caller, call: &str) -> Status {
        let error = match self {
            Self::Message(status) => return status,
            Self::Engine(error) => error,
        };
        let status = status(&error);
        if let (Some(stage), Some(arrived_at)) = (error.refused_at(), caller.arrived_at) {
            engine.refusal_told(stage, arrived_at.elapsed());
        }
        tracing::debug!(code = ?status.code(), "{call} failed: {error}");
        status
    }

    /// As the answer to one message of a stream with this deadline.
    ///
    /// # Errors
    /// The end of the stream, when every other message would be refused as well.
    pub(crate) fn in_place(self, deadline: Option<Instant>) -> Result<v1::RequestError, Status> {
        let status = match self {
            Self::Message(status) => status,
            Self::Engine(error @ EngineError::Draining) => return Err(status(&error)),
            Self::Engine(error) => status(&error),
        };
        if status.code() == Code::DeadlineExceeded && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(status);
        }
        let retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        Ok(v1::RequestError {
            code: status.code().into(),
            message: status.message().to_owned(),
            retry_after_ns: retry_after.map(nanoseconds),
        })
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Message(status)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_is_answered_in_place_with_the_time_to_wait() {
        let retry_after = Duration::from_millis(3);
        let overloaded = wisp_engine::CallError::Overloaded { message: "later".to_owned(), retry_after };
        let error = Refusal::Engine(EngineError::Call(overloaded)).in_place(None).expect("the stream goes on");
        assert_eq!((error.code, error.retry_after_ns), (Code::ResourceExhausted as i32, Some(3_000_000)));
        assert!(Refusal::Engine(EngineError::Draining).in_place(None).is_err(), "the next is refused as well");
    }
}
