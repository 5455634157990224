//! Whether the sessions of a model are in memory. A model at rest has a queue, but no session; the next request loads it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::shared::Shared;
use crate::turns::{MemoryTurns, POLL, Presence, Stay};

/// How a model is held in memory that is loaded when it is needed.
#[derive(Clone, Debug)]
pub struct OnDemand {
    /// The memory that it shares with others.
    pub turns: MemoryTurns,
    /// What it takes there.
    pub bytes: u64,
    /// How long after its last inference it leaves by itself; `None` for not before others need the memory.
    pub idle: Option<Duration>,
}

/// Whether, and how, the sessions of a model are in memory.
pub(crate) struct Residence {
    on_demand: Option<OnDemand>,
    presence: Arc<Presence>,
    /// Somebody took the model out of service: it rests as soon as nothing waits for it.
    is_released: AtomicBool,
    /// Somebody wants it in memory, although nothing waits for it.
    is_asked_for: AtomicBool,
    /// Sessions that are in memory.
    loaded: AtomicUsize,
    held: Mutex<Held>,
}

/// Memory that was taken, and the sessions that it was taken for.
#[derive(Default)]
struct Held {
    stay: Option<Stay>,
    holders: usize,
}

/// What a worker that has nothing to do does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Closes it.
    Rest,
    /// Keeps it, until then if nothing happens.
    Keep(Option<Instant>),
}

impl Residence {
    pub(crate) fn new(on_demand: Option<OnDemand>) -> Self {
        Self {
            on_demand,
            presence: Presence::new(),
            is_released: AtomicBool::new(false),
            is_asked_for: AtomicBool::new(false),
            loaded: AtomicUsize::new(0),
            held: Mutex::default(),
        }
    }

    /// Whether the model begins without a session.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.on_demand.is_some()
    }

    /// Whether somebody waits for the memory of this model, so that it is not even kept for work that is there.
    pub(crate) fn must_leave(&self) -> bool {
        self.presence.must_leave()
    }

    /// What to do with a session that has nothing to do.
    pub(crate) fn idle(&self, now: Instant) -> Idle {
        if self.must_leave() || self.is_released.load(Ordering::SeqCst) {
            return Idle::Rest;
        }
        let Some(idle) = self.on_demand.as_ref().and_then(|on_demand| on_demand.idle) else { return Idle::Keep(None) };
        let leaves_at = self.presence.used_at() + idle;
        if leaves_at <= now { Idle::Rest } else { Idle::Keep(Some(leaves_at)) }
    }

    pub(crate) fn is_used(&self) {
        if self.on_demand.is_some() {
            self.presence.is_used();
        }
    }

    /// Takes the memory for one more session. `false` when it is not needed any more.
    pub(crate) fn enter(&self, shared: &Arc<Shared>, is_wanted: impl Fn() -> bool) -> bool {
        let mut held = self.held();
        // The other sessions of this model are on their way out.
        while held.stay.is_some() && self.must_leave() {
            drop(held);
            if !is_wanted() {
                return false;
            }
            std::thread::sleep(POLL);
            held = self.held();
        }
        if held.stay.is_none()
            && let Some(OnDemand { turns, bytes, .. }) = &self.on_demand
        {
            let Some(stay) = turns.enter(*bytes, shared, &self.presence, is_wanted) else { return false };
            held.stay = Some(stay);
        }
        held.holders += 1;
        true
    }

    /// Gives back what [`Residence::enter`] took, after the session is gone.
    pub(crate) fn leave(&self) {
        let mut held = self.held();
        held.holders = held.holders.saturating_sub(1);
        if held.holders == 0 {
            held.stay = None;
        }
    }

    /// A session is open, after so long.
    pub(crate) fn loaded(&self, took: Duration) {
        self.presence.is_loaded_within(took);
        self.is_asked_for.store(false, Ordering::SeqCst);
        self.loaded.fetch_add(1, Ordering::SeqCst);
    }

    /// What opening a session takes, as far as is known.
    pub(crate) fn load_time(&self) -> Duration {
        self.presence.load_time()
    }

    pub(crate) fn rested(&self) {
        self.loaded.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::SeqCst) > 0
    }

    /// The sessions go as soon as nothing waits for them, and whenever they were needed once more.
    pub(crate) fn release(&self) {
        self.is_asked_for.store(false, Ordering::SeqCst);
        self.is_released.store(true, Ordering::SeqCst);
    }

    /// The sessions come back now, before anybody needs them.
    pub(crate) fn ask_for(&self) {
        self.is_released.store(false, Ordering::SeqCst);
        self.is_asked_for.store(!self.is_loaded(), Ordering::SeqCst);
    }

    pub(crate) fn is_asked_for(&self) -> bool {
        self.is_asked_for.load(Ordering::SeqCst)
    }

    /// Held while a session waits for room: the others of its model need the same.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
