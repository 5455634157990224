//! What a worker runs at this moment, seen from outside: who is in it, how to stop it, how long it should take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::Cancel;

use crate::job::{Job, Part};

/// The place of a worker thread. It outlives the thread: one that hangs is replaced.
pub(crate) struct Slot {
    state: Mutex<State>,
}

struct State {
    /// Jobs in the inference that runs.
    running: Vec<Arc<Job>>,
    started_at: Option<Instant>,
    expected: Duration,
    canceller: Option<Arc<dyn Cancel>>,
    /// When a session that is being opened will be there, as far as can be told.
    opens_at: Option<Instant>,
    /// Grows when the thread is replaced: the old one finds out that it is no longer wanted.
    generation: u64,
}

/// An inference that has run for far too long.
pub(crate) struct Hung {
    pub(crate) jobs: Vec<Arc<Job>>,
    pub(crate) ran: Duration,
    /// The generation that takes over.
    pub(crate) generation: u64,
}

impl Slot {
    pub(crate) fn new(canceller: Option<Arc<dyn Cancel>>) -> Self {
        let state = State {
            running: Vec::new(),
            started_at: None,
            expected: Duration::ZERO,
            canceller,
            opens_at: None,
            generation: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// An inference starts. `false` when nobody waits for it any more, or the thread was replaced.
    pub(crate) fn start(&self, generation: u64, parts: &[Part], now: Instant, expected: Duration) -> bool {
        let mut state = self.lock();
        if state.generation != generation || parts.iter().all(|part| part.job.is_over()) {
            return false;
        }
        state.running = parts.iter().map(|part| Arc::clone(&part.job)).collect();
        state.started_at = Some(now);
        state.expected = expected;
        true
    }

    /// An inference that nobody asked for starts, such as a canary.
    pub(crate) fn start_unasked(&self, generation: u64, now: Instant) {
        let mut state = self.lock();
        if state.generation == generation {
            (state.running, state.started_at, state.expected) = (Vec::new(), Some(now), Duration::ZERO);
        }
    }

    /// Whether the thread of this generation is still the one that works here.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.lock().generation == generation
    }

    /// The inference ended. `false` when the thread was replaced meanwhile: its results count for nothing.
    pub(crate) fn end(&self, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        state.running.clear();
        state.started_at = None;
        true
    }

    /// A session is being opened, and will be there at this time.
    pub(crate) fn opens(&self, generation: u64, opens_at: Instant) {
        let mut state = self.lock();
        if state.generation == generation {
            state.opens_at = Some(opens_at);
        }
    }

    /// Another session runs here from now on, or none.
    pub(crate) fn replace_session(&self, generation: u64, canceller: Option<Arc<dyn Cancel>>) {
        let mut state = self.lock();
        if state.generation == generation {
            (state.canceller, state.opens_at) = (canceller, None);
        }
    }

    /// Whether an inference runs.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().started_at.is_some()
    }

    /// Stops the inference if `job` is in it and everybody else in it is gone as well. The lock is held across the call, so
    /// that the worker cannot have moved on to somebody else's inference in between.
    pub(crate) fn cancel_if_unwanted(&self, job: &Arc<Job>) {
        let state = self.lock();
        let is_here = state.running.iter().any(|running| Arc::ptr_eq(running, job));
        if is_here
            && state.running.iter().all(|running| running.is_over())
            && let Some(canceller) = &state.canceller
        {
            canceller.cancel();
        }
    }

    /// How long the inference, or opening the session, will still take, as far as can be told.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        let state = self.lock();
        let runs_until = state.started_at.map(|at| at + state.expected);
        let free_at = [runs_until, state.opens_at].into_iter().flatten().max();
        free_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Gives up on an inference that has run for longer than `limit`, and longer than twenty times what was expected.
    pub(crate) fn give_up(&self, now: Instant, limit: Duration) -> Option<Hung> {
        let mut state = self.lock();
        let ran = now.saturating_duration_since(state.started_at?);
        if ran <= limit.max(state.expected.saturating_mul(20)) {
            return None;
        }
        state.generation += 1;
        state.started_at = None;
        state.canceller = None;
        Some(Hung { jobs: std::mem::take(&mut state.running), ran, generation: state.generation })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
