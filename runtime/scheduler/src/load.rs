//! How long a session's queue will take: entries that wait, times what one has taken lately.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Share of the newest inference in the moving average is one in so many.
const AVERAGE_OVER: u64 = 8;

/// The load of a session. Numbers are approximate: they decide whether it is worth waiting, nothing else.
#[derive(Debug, Default)]
pub(crate) struct Load {
    unanswered: AtomicUsize,
    /// Moving average of the time in the session, in nanoseconds; 0 before the first inference.
    service_ns: AtomicU64,
}

/// An entry that is queued or running; dropped when its caller got the answer or left.
pub(crate) struct Unanswered<'a>(&'a Load);

impl Load {
    pub(crate) fn enter(&self) -> Unanswered<'_> {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        Unanswered(self)
    }

    /// Entries that are queued or running.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Notes how long an inference was in the session.
    pub(crate) fn record(&self, service: Duration) {
        let newest = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
        let average = self.service_ns.load(Ordering::Relaxed);
        let next = match average {
            0 => newest,
            average => average - average / AVERAGE_OVER + newest / AVERAGE_OVER,
        };
        self.service_ns.store(next, Ordering::Relaxed);
    }

    /// When one more entry would be answered, from now; zero for an idle session, whose next inference may be a quick one.
    pub(crate) fn predicted(&self) -> Duration {
        let ahead = self.unanswered();
        if ahead == 0 {
            return Duration::ZERO;
        }
        let entries = u64::try_from(ahead).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_nanos(self.service_ns.load(Ordering::Relaxed).saturating_mul(entries))
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prediction_follows_the_queue_and_the_latest_inferences() {
        let load = Load::default();
        assert_eq!(load.predicted(), Duration::ZERO);
        let waiting = [load.enter(), load.enter(), load.enter()];
        assert_eq!(load.predicted(), Duration::ZERO, "nothing is known yet");
        load.record(Duration::from_millis(80));
        assert_eq!(load.predicted(), Duration::from_millis(320));
        load.record(Duration::from_millis(160));
        assert_eq!(load.predicted(), Duration::from_millis(360));
        drop(waiting);
        assert_eq!(load.predicted(), Duration::ZERO, "an idle session refuses nobody");
    }
}
