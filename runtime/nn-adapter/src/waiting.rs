//! Waiting for a future on the calling thread, whatever else that thread is for.
//!
//! A task in the host's runtime and a thread that waits for it would hang where the two are the same thread: a runtime with one
//! thread, or a worker that keeps the task it was given last to itself. What computes here has threads of its own, so that
//! nothing has to be handed to a runtime: the future is polled where the guest waits.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Polls `future` until it is ready; `None`, with the future dropped, when that takes longer than `limit`.
///
/// The future must be one that others complete: it must need neither timers nor input or output of a runtime.
pub(crate) fn at_most<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    // One place, because waking twice is waking once. A channel, because others may use this thread's park token.
    let (awake, woken) = sync_channel(1);
    let waker = Waker::from(Arc::new(Signal(awake)));
    let mut context = Context::from_waker(&waker);
    // On a thread of a runtime, the budget of the task that it runs would end some day, and nobody would renew it while we wait.
    let mut future = pin!(tokio::task::unconstrained(future));
    let end = Instant::now().checked_add(limit);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let rest = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        if let Err(RecvTimeoutError::Timeout) = woken.recv_timeout(rest) {
            return None;
        }
    }
}

struct Signal(SyncSender<()>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // Full when it is awake already, closed when nobody waits any more.
        let _ = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn an_answer_from_another_thread_ends_the_wait() {
        let (answer, answered) = oneshot::channel();
        let other = std::thread::spawn(move || answer.send(7));
        assert_eq!(at_most(Duration::MAX, answered), Some(Ok(7)));
        other.join().expect("does not panic").expect("somebody waits");
    }

    #[test]
    fn a_wait_that_is_over_drops_the_future() {
        let (answer, answered) = oneshot::channel::<()>();
        assert_eq!(at_most(Duration::ZERO, answered), None);
        assert!(answer.is_closed());
    }

    #[test]
    fn a_ready_future_needs_no_time() {
        assert_eq!(at_most(Duration::ZERO, std::future::ready(1)), Some(1));
    }
}
