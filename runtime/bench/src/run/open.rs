//! An open loop: requests at the times of a schedule, whether or not others are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::Running;
use crate::load::{Arrivals, Schedule};

/// Requests on their way at one time; beyond it a request is not sent, and counted as such.
const INFLIGHT_LIMIT: usize = 20_000;

/// Starts the schedule; it and every request hold `alive` until they are done.
pub(super) fn start(stream: &Arc<Running>, per_second: f64, arrivals: Arrivals, seed: u64, alive: &Sender<()>) {
    let (stream, alive) = (Arc::clone(stream), alive.clone());
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own: timers of the runtime have steps of a millisecond, which is as long as an inference.
    std::thread::spawn(move || {
        let inflight = Arc::new(AtomicUsize::new(0));
        let schedule = Schedule::new(per_second, arrivals, seed);
        for (number, after) in schedule.enumerate() {
            let intended = stream.begun_at + after;
            if intended >= stream.span.end() || stream.stop.is_cancelled() {
                break;
            }
            stream.recorder().offered(intended);
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            if inflight.fetch_add(1, Ordering::Relaxed) >= INFLIGHT_LIMIT {
                inflight.fetch_sub(1, Ordering::Relaxed);
                stream.recorder().unsent();
                continue;
            }
            let (stream, inflight, alive) = (Arc::clone(&stream), Arc::clone(&inflight), alive.clone());
            runtime.spawn(async move {
                // What failed is noted; nobody tries again in an open loop.
                let _ = stream.ask(number, Some(intended)).await;
                inflight.fetch_sub(1, Ordering::Relaxed);
                drop(alive);
            });
        }
    });
}
