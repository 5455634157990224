//! Whether a session can be relied on, and when it is tried again after it could not.
//!
//! A failed inference alone says little: a guest may have sent what no model can take. So the worker runs an inference whose
//! answer is known; only when that fails as well is the session unhealthy. Requests are then refused at once, and the worker
//! opens the session anew after a delay that doubles each time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{Batch, NamedTensor, Session};

/// How long the first attempt to recover waits.
pub const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
pub const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Whether an answer to the canary is right; the error says what is wrong.
pub type CanaryCheck = Box<dyn Fn(&[NamedTensor]) -> Result<(), String> + Send>;

/// Opens a session anew; the error says why that does not work.
pub type Reopen = Box<dyn FnMut() -> Result<Box<dyn Session>, String> + Send>;

/// How a worker finds out that its session is broken, and how it gets another.
pub struct Recovery {
    /// What tells a broken session; without it, none is thought to be.
    pub canary: Option<Canary>,
    /// Opens the session anew.
    pub reopen: Reopen,
}

/// An inference whose answer is known.
pub struct Canary {
    /// What is put in.
    pub batch: Batch,
    /// Whether what comes out is right.
    pub check: CanaryCheck,
}

/// What is known about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy {
        /// What went wrong.
        reason: String,
        /// Attempts to recover so far.
        attempts: u32,
        /// When the next one is made.
        retry_at: Instant,
    },
}

/// The health of a session: written by its worker, read by everyone.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<HealthState>,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(HealthState::Healthy) }
    }

    pub(crate) fn get(&self) -> HealthState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a failure. Returns when the next attempt is due.
    pub(crate) fn failed(&self, reason: String, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = match &*state {
            HealthState::Healthy => 0,
            HealthState::Unhealthy { attempts, .. } => attempts + 1,
        };
        let retry_at = now + back_off(attempts);
        *state = HealthState::Unhealthy { reason, attempts, retry_at };
        retry_at
    }

    pub(crate) fn recovered(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = HealthState::Healthy;
    }
}

/// The delay before the attempt after so many.
fn back_off(attempts: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << attempts.min(6)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_minute() {
        let delays: Vec<u64> = (0..9).map(|attempts| back_off(attempts).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn failures_add_up_until_it_recovers() {
        let (health, now) = (Health::new(), Instant::now());
        health.failed("gone".to_owned(), now);
        let retry_at = health.failed("still gone".to_owned(), now);
        let expected = HealthState::Unhealthy { reason: "still gone".to_owned(), attempts: 1, retry_at };
        assert_eq!(health.get(), expected);
        health.recovered();
        assert_eq!(health.get(), HealthState::Healthy);
    }
}
