//! What a worker does about a session that cannot be relied on: asks it what it is known to answer, and opens it anew.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::thread::Worker;
use crate::ScheduleError;
use crate::health::{HealthState, Recovery};
use crate::job::Job;
use crate::shared::Shared;
use tokio::time::Instant;

/// How often a worker whose session is out of service looks whether it is woken for others.
const RECOVERY_POLL: Duration = Duration::from_millis(20);

/// Nothing that can panic is called while it is held, except what is caught.
pub(super) fn lock(recovery: &Mutex<Recovery>) -> std::sync::MutexGuard<'_, Recovery> {
    recovery.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Worker {
    /// Whether the session fails at what it is known to answer. Takes it out of service if so.
    pub(super) fn is_broken(&mut self, failure: &str) -> bool {
        let outcome = self.try_canary();
        if !self.is_current() {
            // Given up while it ran; whoever took over looks after the health of this place.
            return true;
        }
        let Err(reason) = outcome else { return false };
        tracing::error!(model = &*self.shared.model, failure, reason, "the session is out of service");
        self.place().health.failed(reason, Instant::now());
        true
    }

    pub(super) fn try_canary(&mut self) -> Result<(), String> {
        let Some(recovery) = self.place().recovery.clone() else { return Ok(()) };
        let Some(canary) = lock(&recovery).canary.as_ref().map(|canary| canary.batch.clone()) else { return Ok(()) };
        self.place().slot.start_unasked(self.generation, Instant::now());
        let outcome = self.runner.infer(&canary);
        self.place().slot.end(self.generation);
        let outputs = outcome.map_err(|error| error.to_string())?;
        lock(&recovery).canary.as_ref().map_or(Ok(()), |canary| (canary.check)(&outputs))
    }

    pub(super) fn recover_place(&mut self) -> bool {
        match self.place().recovery.clone() {
            Some(recovery) => self.recover(&recovery),
            None => true,
        }
    }

    /// Tries to open the session anew until that works. `false` when nobody holds the queue any more, or
    /// another thread works here.
    ///
    /// Entries wait for the other workers meanwhile; where there are none in service, they are refused.
    pub(super) fn recover(&mut self, recovery: &Arc<Mutex<Recovery>>) -> bool {
        while self.is_current()
            && let HealthState::Unhealthy { reason, retry_at, .. } = self.place().health.get()
        {
            refuse_if_nothing_serves(&self.shared, &reason);
            let waiting = self.shared.waiting();
            if waiting.is_closed {
                return false;
            }
            if Instant::now() < retry_at {
                drop(self.shared.wait(waiting, Some(retry_at)));
                // Woken for an entry that another worker should take.
                if self.shared.slots.len() > 1 {
                    self.shared.notify();
                    std::thread::sleep(RECOVERY_POLL);
                }
                continue;
            }
            drop(waiting);
            self.reopen(recovery);
        }
        self.is_current()
    }

    fn reopen(&mut self, recovery: &Arc<Mutex<Recovery>>) {
        // The broken one goes first: there may not be room for two.
        self.rest();
        match self.open(recovery) {
            Ok(true) => {
                tracing::info!(model = &*self.shared.model, "the session is back in service");
                self.place().health.recovered();
            }
            // Nobody holds the queue any more, which whoever called looks at.
            Ok(false) => {}
            Err(reason) => {
                let retry_at = self.place().health.failed(reason.clone(), Instant::now());
                let retry_s = retry_at.saturating_duration_since(Instant::now()).as_secs();
                tracing::warn!(model = &*self.shared.model, reason, retry_s, "the session is still out of service");
            }
        }
    }
}

/// Refuses what waits when no session is in service.
pub(super) fn refuse_if_nothing_serves(shared: &Shared, reason: &str) {
    if shared.slots.iter().any(|place| place.health.get() == HealthState::Healthy) {
        return;
    }
    let jobs: Vec<Arc<Job>> = shared.waiting().drain();
    for job in jobs {
        job.fail(ScheduleError::Unhealthy { model: shared.model.to_string(), reason: reason.to_owned() });
    }
}
