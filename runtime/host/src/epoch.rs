//! The clock that interrupts guests: a thread that moves the engine's epoch on while guests run, and sleeps while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::Engine;

/// How often a guest that computes gives way to others, and the grain of its time limit.
const EPOCH: Duration = Duration::from_millis(5);

/// Epochs without a guest after which the thread goes to sleep. A busy host never gets there, so that its requests do
/// not pay for waking it; an idle one costs nothing.
const IDLE_EPOCHS: u32 = 200;

/// Moves the epoch on as long as it is held: without it, no guest gives way.
pub(crate) struct EpochTicker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running_guests: AtomicUsize,
    is_asleep: AtomicBool,
    is_stopped: AtomicBool,
}

/// A guest that runs; dropped when it does no more.
pub(crate) struct RunningGuest<'a>(&'a EpochTicker);

impl EpochTicker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let handle = std::thread::Builder::new().name("wisp-epoch".to_owned()).spawn(move || tick(&engine, &seen))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Keeps the epoch going until the returned guard is dropped.
    pub(crate) fn run(&self) -> RunningGuest<'_> {
        self.shared.running_guests.fetch_add(1, Ordering::SeqCst);
        // The thread says that it sleeps before it looks at the count for the last time, and the count is raised before
        // this look: one of the two sees the other.
        if self.shared.is_asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        RunningGuest(self)
    }
}

impl Drop for RunningGuest<'_> {
    fn drop(&mut self) {
        self.0.shared.running_guests.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle_epochs = 0;
    while !shared.is_stopped.load(Ordering::SeqCst) {
        std::thread::sleep(EPOCH);
        engine.increment_epoch();
        let is_idle = shared.running_guests.load(Ordering::SeqCst) == 0;
        idle_epochs = if is_idle { idle_epochs + 1 } else { 0 };
        if idle_epochs >= IDLE_EPOCHS {
            sleep_until_needed(shared);
            idle_epochs = 0;
        }
    }
}

fn sleep_until_needed(shared: &Shared) {
    shared.is_asleep.store(true, Ordering::SeqCst);
    while shared.running_guests.load(Ordering::SeqCst) == 0 && !shared.is_stopped.load(Ordering::SeqCst) {
        std::thread::park();
    }
    shared.is_asleep.store(false, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_clock_wakes_for_a_guest_and_for_its_end() {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let sleeper = std::thread::spawn(move || sleep_until_needed(&seen));
        while !shared.is_asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let ticker = EpochTicker { shared: Arc::clone(&shared), thread: sleeper.thread().clone() };
        let running = ticker.run();
        sleeper.join().expect("wakes for the guest");
        drop(running);
        assert_eq!(shared.running_guests.load(Ordering::SeqCst), 0);

        let seen = Arc::clone(&shared);
        let sleeper = std::thread::spawn(move || sleep_until_needed(&seen));
        drop(EpochTicker { shared, thread: sleeper.thread().clone() });
        sleeper.join().expect("wakes for the end");
        drop(ticker);
    }
}
