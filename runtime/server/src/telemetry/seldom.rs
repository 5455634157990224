//! Log lines that would flood the log: one in a while, which says how many there would have been.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through in a while.
pub(super) struct Seldom {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_at: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    pub(super) fn every(every: Duration) -> Self {
        Self { every, state: Mutex::default() }
    }

    /// Whether to write the line; if so, how many were held back before it.
    pub(super) fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last_at.is_some_and(|last_at| now.saturating_duration_since(last_at) < self.every) {
            state.held_back += 1;
            return None;
        }
        state.last_at = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_passes_in_a_while_and_tells_of_the_others() {
        let seldom = Seldom::every(Duration::from_secs(60));
        assert_eq!([seldom.pass(), seldom.pass(), seldom.pass()], [Some(0), None, None]);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!([seldom.pass(), seldom.pass()], [Some(2), None]);
    }
}
