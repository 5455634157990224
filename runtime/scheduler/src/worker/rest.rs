//! A worker without a session: how it comes by one, and gives it up again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{BackendError, Batch, NamedTensor, Session, SessionInfo};

use super::repair::{lock, refuse_if_nothing_serves};
use super::thread::Worker;
use crate::health::{HealthState, Recovery};
use crate::inference::Runner;
use crate::shared::Shared;

impl Worker {
    /// A worker at rest.
    pub(super) fn new(shared: &Arc<Shared>, index: usize, generation: u64) -> Self {
        let absent = Box::new(Absent { info: shared.info.clone() });
        let runner = Runner::new(Arc::clone(&shared.model), absent, Arc::clone(&shared.rules));
        Self { shared: Arc::clone(shared), runner, index, generation, is_loaded: false }
    }

    /// Starts with a session that is open.
    pub(super) fn begin_with(&mut self, session: Box<dyn Session>) {
        // Only models on demand wait for room.
        let shared = Arc::clone(&self.shared);
        shared.residence.enter(&shared, || true);
        self.take(session);
        self.is_there(Duration::ZERO);
    }

    /// Opens a session because something waits for it. `false` as [`Worker::recover`].
    pub(super) fn load(&mut self) -> bool {
        let Some(recovery) = self.place().recovery.clone() else { return false };
        match self.open(&recovery) {
            Ok(_) => true,
            Err(reason) => {
                tracing::error!(model = &*self.shared.model, reason, "the model cannot be loaded");
                self.place().health.failed(reason.clone(), Instant::now());
                refuse_if_nothing_serves(&self.shared, &reason);
                self.recover(&recovery)
            }
        }
    }

    /// Opens a session and looks whether it computes what is known. `false` when nothing waits for it any more.
    pub(super) fn open(&mut self, recovery: &Arc<Mutex<Recovery>>) -> Result<bool, String> {
        let shared = Arc::clone(&self.shared);
        if !shared.residence.enter(&shared, || self.is_wanted()) {
            return Ok(false);
        }
        let began_at = Instant::now();
        self.place().slot.opens(self.generation, began_at + shared.residence.load_time());
        let opened = catch_unwind(AssertUnwindSafe(|| (lock(recovery).reopen)()))
            .unwrap_or_else(|_| Err("opening the session panicked".to_owned()));
        let tried = opened.and_then(|session| {
            self.take(session);
            self.try_canary()
        });
        match tried {
            Ok(()) => {
                self.is_there(began_at.elapsed());
                Ok(true)
            }
            Err(reason) => {
                self.take_none();
                shared.residence.leave();
                Err(reason)
            }
        }
    }

    /// Closes the session, if there is one.
    pub(super) fn rest(&mut self) {
        if !std::mem::take(&mut self.is_loaded) {
            return;
        }
        self.take_none();
        self.shared.residence.rested();
        self.shared.residence.leave();
        self.shared.metrics.rested();
    }

    /// Whether the session can be closed and opened again.
    pub(super) fn may_rest(&self) -> bool {
        self.is_loaded && self.place().recovery.is_some()
    }

    fn is_wanted(&self) -> bool {
        let waiting = self.shared.waiting();
        let is_recovering = || self.place().health.get() != HealthState::Healthy;
        !waiting.is_closed && (waiting.entries() > 0 || self.shared.residence.is_asked_for() || is_recovering())
    }

    fn is_there(&mut self, took: Duration) {
        self.is_loaded = true;
        self.shared.residence.loaded(took);
        self.shared.metrics.loaded(took);
    }

    fn take(&mut self, session: Box<dyn Session>) {
        self.place().slot.replace_session(self.generation, session.canceller());
        self.runner.replace(session);
    }

    fn take_none(&mut self) {
        self.place().slot.replace_session(self.generation, None);
        self.runner.replace(Box::new(Absent { info: self.shared.info.clone() }));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Whoever took over the place of a thread that hung has given back what was this one's.
        if self.is_current() {
            self.rest();
        }
    }
}

/// What stands in the place of a session until one is opened.
pub(super) struct Absent {
    pub(super) info: SessionInfo,
}

impl Session for Absent {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, _: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        Err(BackendError::Cancelled)
    }
}
