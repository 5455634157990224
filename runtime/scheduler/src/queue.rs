//! The queue of a session, seen from the callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wisp_core::{Batch, NamedTensor, SessionInfo};

use crate::ScheduleError;
use crate::entry::{CancelOnDrop, Entry, Running};
use crate::health::{Health, HealthState};

/// A handle on a session and its queue; clones share both. The session ends when the last one is dropped.
#[derive(Clone)]
pub struct SessionQueue {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) model: String,
    pub(crate) info: SessionInfo,
    pub(crate) entries: SyncSender<Entry>,
    pub(crate) capacity: usize,
    pub(crate) running: Arc<Running>,
    pub(crate) health: Arc<Health>,
    pub(crate) next_id: AtomicU64,
}

/// The outputs of an inference and where its time went.
#[derive(Debug)]
pub struct Inferred {
    /// Outputs in the order of the session's signature.
    pub outputs: Vec<NamedTensor>,
    /// Stage times.
    pub times: StageTimes,
}

/// Where the time of an inference went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Waiting in the queue.
    pub queue: Duration,
    /// Putting rows together and taking results apart.
    pub gather: Duration,
    /// In the session.
    pub infer: Duration,
}

impl std::ops::AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.queue += other.queue;
        self.gather += other.gather;
        self.infer += other.infer;
    }
}

impl SessionQueue {
    /// Name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.shared.model
    }

    /// What the session is.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        &self.shared.info
    }

    /// Whether the session can be relied on now.
    #[must_use]
    pub fn health(&self) -> HealthState {
        self.shared.health.get()
    }

    /// Queues one inference and waits for its answer. Dropping the future cancels it, queued or running.
    ///
    /// Padded inputs are checked against the signature here, on the caller's time, so that a bad request never reaches
    /// the worker.
    ///
    /// # Errors
    /// [`ScheduleError::Full`] at once when the queue is full, [`ScheduleError::Overloaded`] at once when what waits already
    /// would take longer than until `deadline`, [`ScheduleError::Unhealthy`] at once when the session is out
    /// of service, [`ScheduleError::Deadline`] when `deadline` passes, and
    /// whatever the session fails with.
    pub async fn infer(&self, batch: Batch, deadline: Option<Instant>) -> Result<Inferred, ScheduleError> {
        if let Batch::Padded(inputs) = &batch {
            self.shared.info.signature.check_inputs(inputs).map_err(wisp_core::BackendError::from)?;
        }
        if let HealthState::Unhealthy { reason, .. } = self.health() {
            return Err(ScheduleError::Unhealthy { model: self.shared.model.clone(), reason });
        }
        let load = &self.shared.running.load;
        self.refuse_what_would_be_late(deadline)?;
        let _unanswered = load.enter();
        let (answer, answered) = oneshot::channel();
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        self.enqueue(Entry { id, batch, queued_at: Instant::now(), deadline, answer })?;

        let mut guard = CancelOnDrop { running: Arc::clone(&self.shared.running), id, is_answered: false };
        let received = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, answered)
                .await
                .map_err(|_| ScheduleError::Deadline { model: self.shared.model.clone() })?,
            None => answered.await,
        };
        guard.is_answered = true;
        let inferred = received.unwrap_or_else(|_| Err(self.closed()))?;
        load.record(inferred.times.infer);
        Ok(inferred)
    }

    /// Waiting for what will not come in time helps neither this caller nor those behind it.
    fn refuse_what_would_be_late(&self, deadline: Option<Instant>) -> Result<(), ScheduleError> {
        let (queued, wait) = (self.shared.running.load.unanswered(), self.shared.running.load.predicted());
        match deadline {
            Some(deadline) if wait > deadline.saturating_duration_since(Instant::now()) && queued > 0 => {
                Err(ScheduleError::Overloaded { model: self.shared.model.clone(), queued, wait })
            }
            _ => Ok(()),
        }
    }

    fn enqueue(&self, entry: Entry) -> Result<(), ScheduleError> {
        self.shared.entries.try_send(entry).map_err(|error| match error {
            TrySendError::Full(_) => ScheduleError::Full { what: "queued inferences", limit: self.shared.capacity },
            TrySendError::Disconnected(_) => self.closed(),
        })
    }

    fn closed(&self) -> ScheduleError {
        ScheduleError::Closed { model: self.shared.model.clone() }
    }
}

impl std::fmt::Debug for SessionQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionQueue").field("model", &self.shared.model).finish_non_exhaustive()
    }
}
