//! Memory that models take turns in: a model that nobody uses leaves it for one that somebody waits for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::shared::Shared;

/// How long a model that has work to do stays before it must leave for another one. Loading takes some tenths of a second: with
/// less, two models that both have work would do little but come and go.
pub const SHORTEST_STAY: Duration = Duration::from_secs(2);

/// How often a model that waits for room looks whether it still has a reason to.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// The memory of one device that models share which are loaded on demand; clones share it.
///
/// Who waits longest enters first. It is made room for by those whose last inference is the longest ago: who had nothing to do for
/// as long as loading it took, so that coming back costs no more than staying would have; and who has work, but has been there for
/// [`SHORTEST_STAY`].
#[derive(Clone, Default)]
pub struct MemoryTurns {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// `None` for as much as is asked for.
    capacity_bytes: Option<u64>,
    residents: Vec<Arc<Resident>>,
    /// Who waits, the first one first.
    line: VecDeque<u64>,
    next_place: u64,
}

/// A model that has memory.
struct Resident {
    bytes: u64,
    entered_at: Instant,
    queue: Weak<Shared>,
    presence: Arc<Presence>,
}

/// What a model's workers and the others' say to each other.
pub(crate) struct Presence {
    /// Somebody waits for its memory.
    must_leave: AtomicBool,
    /// Microseconds since [`START`].
    used_at: AtomicU64,
    /// What loading it took the last time, in microseconds.
    load_us: AtomicU64,
}

/// The memory of a model; given back when dropped.
pub(crate) struct Stay {
    turns: MemoryTurns,
    resident: Arc<Resident>,
}

impl MemoryTurns {
    /// Bounds the memory; models that are there beyond it stay until somebody waits for room.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity_bytes = bytes;
        self.inner.changed.notify_all();
    }

    /// Waits for room and takes it. `None` as soon as it is not wanted any more.
    pub(crate) fn enter(
        &self,
        bytes: u64,
        queue: &Arc<Shared>,
        presence: &Arc<Presence>,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Stay> {
        let mut state = self.lock();
        let place = state.next_place;
        state.next_place += 1;
        state.line.push_back(place);
        loop {
            let is_first = state.line.front() == Some(&place);
            if is_first && state.has_room_for(bytes) {
                state.line.pop_front();
                return Some(self.settle(&mut state, bytes, queue, presence));
            }
            if is_first {
                state.make_room_for(bytes);
            }
            state = self.inner.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0;
            // Asked without the lock: the answer takes others.
            drop(state);
            let is_wanted = is_wanted();
            state = self.lock();
            if !is_wanted {
                state.line.retain(|&other| other != place);
                return None;
            }
        }
    }

    fn settle(&self, state: &mut State, bytes: u64, queue: &Arc<Shared>, presence: &Arc<Presence>) -> Stay {
        presence.must_leave.store(false, Ordering::SeqCst);
        presence.is_used();
        let (queue, presence) = (Arc::downgrade(queue), Arc::clone(presence));
        let resident = Arc::new(Resident { bytes, entered_at: Instant::now(), queue, presence });
        state.residents.push(Arc::clone(&resident));
        self.inner.changed.notify_all();
        Stay { turns: self.clone(), resident }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room_for(&self, bytes: u64) -> bool {
        let taken: u64 = self.residents.iter().map(|resident| resident.bytes).sum();
        self.capacity_bytes.is_none_or(|capacity| taken.saturating_add(bytes) <= capacity)
    }

    /// Asks as many to leave as must, whoever was used longest ago first.
    fn make_room_for(&self, bytes: u64) {
        let Some(capacity) = self.capacity_bytes else { return };
        let mut staying: u64 = self.residents.iter().map(|resident| resident.bytes).sum();
        let mut residents: Vec<_> = self.residents.iter().collect();
        residents.sort_by_key(|resident| resident.presence.used_at.load(Ordering::Relaxed));
        for resident in residents {
            if staying.saturating_add(bytes) <= capacity {
                return;
            }
            if resident.may_be_asked(Instant::now()) {
                resident.ask();
                staying -= resident.bytes;
            }
        }
    }
}

impl Resident {
    fn may_be_asked(&self, now: Instant) -> bool {
        let has_stayed = now.saturating_duration_since(self.entered_at) >= SHORTEST_STAY;
        let is_unused = || {
            let unused = now.saturating_duration_since(self.presence.used_at());
            unused >= self.presence.load_time() && !self.queue.upgrade().is_some_and(|queue| queue.has_work())
        };
        self.presence.must_leave() || has_stayed || is_unused()
    }

    fn ask(&self) {
        self.presence.must_leave.store(true, Ordering::SeqCst);
        if let Some(queue) = self.queue.upgrade() {
            queue.notify_all();
        }
    }
}

impl Presence {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { must_leave: AtomicBool::new(false), used_at: AtomicU64::new(0), load_us: AtomicU64::new(0) })
    }

    /// Whether somebody waits for the memory of the model.
    pub(crate) fn must_leave(&self) -> bool {
        self.must_leave.load(Ordering::SeqCst)
    }

    /// Notes that the model is used now.
    pub(crate) fn is_used(&self) {
        let since = Instant::now().saturating_duration_since(*START);
        self.used_at.store(u64::try_from(since.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes what loading the model took.
    pub(crate) fn is_loaded_within(&self, took: Duration) {
        self.load_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.is_used();
    }

    /// What loading it takes, as far as is known.
    pub(crate) fn load_time(&self) -> Duration {
        Duration::from_micros(self.load_us.load(Ordering::Relaxed))
    }

    /// When it was used last.
    pub(crate) fn used_at(&self) -> Instant {
        *START + Duration::from_micros(self.used_at.load(Ordering::Relaxed))
    }
}

/// What all times of use are counted from, so that those of different models can be compared.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Drop for Stay {
    fn drop(&mut self) {
        self.turns.lock().residents.retain(|resident| !Arc::ptr_eq(resident, &self.resident));
        self.turns.inner.changed.notify_all();
    }
}

impl std::fmt::Debug for MemoryTurns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryTurns")
            .field("capacity_bytes", &state.capacity_bytes)
            .field("residents", &state.residents.len())
            .finish_non_exhaustive()
    }
}
