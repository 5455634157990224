//! The thread that owns a session and works off its queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::time::Instant;
use wisp_core::Session;

use crate::entry::{Entry, Running};
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
/// The thread ends when the last handle is dropped and the entries queued by then are answered.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn spawn(model: &str, session: Box<dyn Session>, limits: QueueLimits) -> std::io::Result<SessionQueue> {
    let (sender, receiver) = sync_channel(limits.max_queued);
    let running = Arc::new(Running::new(session.canceller()));
    let shared = Shared {
        model: model.to_owned(),
        info: session.info().clone(),
        entries: sender,
        capacity: limits.max_queued,
        running: Arc::clone(&running),
        next_id: AtomicU64::new(0),
    };
    let worker = Worker { model: model.to_owned(), session, running };
    // Linux shows 15 bytes of a thread's name.
    std::thread::Builder::new().name(format!("wisp-{model}")).spawn(move || worker.work(&receiver))?;
    Ok(SessionQueue { shared: Arc::new(shared) })
}

struct Worker {
    model: String,
    session: Box<dyn Session>,
    running: Arc<Running>,
}

impl Worker {
    fn work(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            let now = Instant::now();
            if entry.is_abandoned() {
                continue;
            }
            let result = if entry.is_late(now) {
                Err(ScheduleError::Deadline { model: self.model.clone() })
            } else {
                self.run(&entry, now)
            };
            // The caller may have left meanwhile; then there is nobody to tell.
            let _ = entry.answer.send(result);
        }
    }

    fn run(&mut self, entry: &Entry, started_at: Instant) -> Result<Inferred, ScheduleError> {
        self.running.set(Some(entry.id));
        // A session that panicked has lost one inference; its thread, queue and other callers must not go with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.session.run(&entry.batch)));
        self.running.set(None);
        let infer = started_at.elapsed();
        let outputs = outcome.map_err(|_| {
            tracing::error!(model = self.model, "the session panicked during an inference");
            ScheduleError::Panicked { model: self.model.clone() }
        })??;
        let queue = started_at.duration_since(entry.queued_at);
        Ok(Inferred { outputs, times: StageTimes { queue, gather: std::time::Duration::ZERO, infer } })
    }
}
