//! The thread that owns a session and works off its queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use tokio::time::Instant;
use wisp_core::{BackendError, Batch, ErrorKind, Kinded, NamedTensor, Session};

use crate::entry::{Entry, Running};
use crate::health::{Health, Recovery};
use crate::queue::Shared;
use crate::{Inferred, ScheduleError, SessionQueue, StageTimes};

/// Bounds of a session's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Inferences that may wait; the next one is refused with [`ScheduleError::Full`].
    pub max_queued: usize,
}

impl Default for QueueLimits {
    /// Room for 1,024 waiting inferences.
    fn default() -> Self {
        Self { max_queued: 1024 }
    }
}

/// Gives `session` to a thread of its own and returns the handle on its queue.
///
/// With a `recovery`, a session that no longer answers what it is known to answer is taken out of service and opened anew;
/// without one, it stays in service whatever happens. The thread ends when the last handle is dropped and the entries queued
/// by then are answered.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn spawn(
    model: &str,
    session: Box<dyn Session>,
    limits: QueueLimits,
    recovery: Option<Recovery>,
) -> std::io::Result<SessionQueue> {
    let (sender, receiver) = sync_channel(limits.max_queued);
    let running = Arc::new(Running::new(session.canceller()));
    let health = Arc::new(Health::new());
    let shared = Shared {
        model: model.to_owned(),
        info: session.info().clone(),
        entries: sender,
        capacity: limits.max_queued,
        running: Arc::clone(&running),
        health: Arc::clone(&health),
        next_id: AtomicU64::new(0),
    };
    let worker = Worker { model: model.to_owned(), session, running, health, recovery };
    // Linux shows 15 bytes of a thread's name.
    std::thread::Builder::new().name(format!("wisp-{model}")).spawn(move || worker.work(&receiver))?;
    Ok(SessionQueue { shared: Arc::new(shared) })
}

struct Worker {
    model: String,
    session: Box<dyn Session>,
    running: Arc<Running>,
    health: Arc<Health>,
    recovery: Option<Recovery>,
}

impl Worker {
    fn work(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            if entry.is_abandoned() {
                continue;
            }
            let now = Instant::now();
            let result = if entry.is_late(now) {
                Err(ScheduleError::Deadline { model: self.model.clone() })
            } else {
                self.run(&entry, now)
            };
            let failure = result.as_ref().err().filter(|error| is_suspicious(error)).map(ToString::to_string);
            // The caller may have left meanwhile; then there is nobody to tell.
            let _ = entry.answer.send(result);
            if let Some(failure) = failure
                && self.is_broken(&failure)
                && !self.recover(entries)
            {
                return;
            }
        }
    }

    fn run(&mut self, entry: &Entry, started_at: Instant) -> Result<Inferred, ScheduleError> {
        self.running.set(Some(entry.id));
        let outcome = self.infer(&entry.batch);
        self.running.set(None);
        let infer = started_at.elapsed();
        let queue = started_at.duration_since(entry.queued_at);
        Ok(Inferred { outputs: outcome?, times: StageTimes { queue, gather: std::time::Duration::ZERO, infer } })
    }

    /// A session that panicked has lost one inference; its thread, queue and other callers must not go with it.
    fn infer(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, ScheduleError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.session.run(batch)));
        let outputs = outcome.map_err(|_| {
            tracing::error!(model = self.model, "the session panicked during an inference");
            ScheduleError::Panicked { model: self.model.clone() }
        })?;
        Ok(outputs?)
    }

    /// Whether the session fails at what it is known to answer. Takes it out of service if so.
    fn is_broken(&mut self, failure: &str) -> bool {
        let Err(reason) = self.try_canary() else { return false };
        tracing::error!(model = self.model, failure, reason, "the session is out of service");
        self.health.failed(reason, Instant::now());
        true
    }

    fn try_canary(&mut self) -> Result<(), String> {
        let Some(canary) = self.recovery.as_ref().map(|recovery| recovery.canary.clone()) else { return Ok(()) };
        let outputs = self.infer(&canary).map_err(|error| error.to_string())?;
        self.recovery.as_ref().map_or(Ok(()), |recovery| (recovery.check)(&outputs))
    }

    /// Refuses entries until the session could be opened anew. `false` when nobody holds the queue any more.
    fn recover(&mut self, entries: &Receiver<Entry>) -> bool {
        while let crate::HealthState::Unhealthy { reason, retry_at, .. } = self.health.get() {
            match entries.recv_timeout(retry_at.saturating_duration_since(Instant::now())) {
                Ok(entry) => {
                    let _ = entry.answer.send(Err(ScheduleError::Unhealthy { model: self.model.clone(), reason }));
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => self.reopen(),
            }
        }
        true
    }

    fn reopen(&mut self) {
        let Some(recovery) = &mut self.recovery else { return };
        let opened = catch_unwind(AssertUnwindSafe(|| (recovery.reopen)()))
            .unwrap_or_else(|_| Err("opening the session panicked".to_owned()));
        let tried = opened.and_then(|session| {
            self.running.replace(session.canceller());
            self.session = session;
            self.try_canary()
        });
        match tried {
            Ok(()) => {
                tracing::info!(model = self.model, "the session is back in service");
                self.health.recovered();
            }
            Err(reason) => {
                let retry_at = self.health.failed(reason.clone(), Instant::now());
                let retry_s = retry_at.saturating_duration_since(Instant::now()).as_secs();
                tracing::warn!(model = self.model, reason, retry_s, "the session is still out of service");
            }
        }
    }
}

/// Whether a failure may be the session's and not its caller's.
fn is_suspicious(error: &ScheduleError) -> bool {
    match error {
        ScheduleError::Backend(BackendError::OutOfMemory { .. }) => true,
        other => matches!(other.kind(), ErrorKind::Internal | ErrorKind::Unavailable),
    }
}
