//! One inference on its way: its input, its deadline, and where the answer goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;
use wisp_core::{Batch, Cancel};

use crate::load::Load;
use crate::{Inferred, ScheduleError};

/// What the worker takes from the queue.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) batch: Batch,
    pub(crate) queued_at: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) answer: oneshot::Sender<Result<Inferred, ScheduleError>>,
}

impl Entry {
    /// Nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// The entry that is running, how to stop it, and how much is to be run. Shared by the worker and everyone who waits.
pub(crate) struct Running {
    pub(crate) load: Load,
    state: Mutex<RunningState>,
}

struct RunningState {
    id: Option<u64>,
    canceller: Option<Arc<dyn Cancel>>,
}

impl Running {
    pub(crate) fn new(canceller: Option<Arc<dyn Cancel>>) -> Self {
        Self { load: Load::default(), state: Mutex::new(RunningState { id: None, canceller }) }
    }

    pub(crate) fn set(&self, id: Option<u64>) {
        self.lock().id = id;
    }

    /// Another session runs from now on.
    pub(crate) fn replace(&self, canceller: Option<Arc<dyn Cancel>>) {
        self.lock().canceller = canceller;
    }

    /// Cancels the entry if it is the one that runs. The lock is held across the call, so that the worker cannot have
    /// moved on to somebody else's entry in between.
    pub(crate) fn cancel(&self, id: u64) {
        let running = self.lock();
        if running.id == Some(id)
            && let Some(canceller) = &running.canceller
        {
            canceller.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunningState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cancels an entry when its caller goes away before the answer came.
pub(crate) struct CancelOnDrop {
    pub(crate) running: Arc<Running>,
    pub(crate) id: u64,
    pub(crate) is_answered: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.is_answered {
            self.running.cancel(self.id);
        }
    }
}
