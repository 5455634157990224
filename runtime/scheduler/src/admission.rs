//! The door: one permit for a whole request, given at once or not at all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ScheduleError;

/// Bounds the requests that are in the engine at one time, waiting ones included.
#[derive(Clone, Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    limit: usize,
}

/// The right to be in the engine; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// Admits at most `max_inflight_requests` at one time.
    #[must_use]
    pub fn new(max_inflight_requests: usize) -> Self {
        let limit = max_inflight_requests.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Admits a request, or refuses it at once: a caller that must wait is better served by trying elsewhere.
    ///
    /// # Errors
    /// [`ScheduleError::Full`] when the limit is reached.
    pub fn admit(&self) -> Result<Permit, ScheduleError> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(Permit { _permit: permit }),
            Err(_) => Err(ScheduleError::Full { what: "requests in flight", limit: self.limit }),
        }
    }

    /// Requests that are in the engine now.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.limit - self.permits.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_the_limit_and_admits_again_when_a_permit_is_given_back() {
        let admission = Admission::new(2);
        let first = admission.admit().expect("one of two");
        let _second = admission.admit().expect("two of two");
        let refused = admission.admit().expect_err("the limit is two");
        assert_eq!(refused.to_string(), "the limit of 2 requests in flight is reached; try again later");
        assert_eq!(admission.inflight(), 2);
        drop(first);
        admission.admit().expect("one was given back");
    }
}
