//! A short measurement: how long a session takes for one row, and for several that share an inference.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wisp_core::rows::gather;
use wisp_core::{Batch, NamedTensor, Ragged, Session};
use wisp_scheduler::Cost;

/// Rows that share an inference where the model allows it.
const BATCH_ROWS: usize = 8;

/// Each figure is the fastest of so many runs: whatever disturbs a measurement only makes it longer.
const RUNS: usize = 5;

/// Runs before that, which size buffers and pick kernels.
const WARM_UP_RUNS: usize = 2;

/// No figure is worth waiting longer for.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// A spread from which on something else was running: what is chosen by such figures is chosen by chance.
const DISTURBED: f64 = 0.25;

/// Starts that measure again what was disturbed. A machine that is never quiet must not be slow to start for ever.
const MAX_REPEATS: u32 = 3;

/// How fast a session is on this machine. Medians of a benchmark are `wisp bench`'s; this is to choose between precisions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Microseconds for one row.
    pub single_us: f64,
    /// Microseconds for [`rows`](Speed::rows) rows.
    pub batch_us: f64,
    /// Rows in the batch; 1 where rows may not share an inference.
    pub rows: usize,
    /// Length of the rows.
    pub length: usize,
    /// How much longer the median run took than the fastest, as a share of it; the larger of both figures. A machine that does
    /// nothing else stays below a quarter.
    #[serde(default)]
    pub spread: f64,
    /// Starts that measured it again because it was disturbed.
    #[serde(default)]
    pub repeats: u32,
}

impl Speed {
    /// What is compared: the time for a lone row and the time a row of the batch takes, each as much as the other.
    #[must_use]
    pub fn cost_us(&self) -> f64 {
        (self.single_us * self.batch_us / self.rows as f64).sqrt()
    }

    /// Whether something else was running while it was measured.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.spread > DISTURBED
    }

    /// Whether the next start should measure again.
    pub(crate) fn is_provisional(&self) -> bool {
        self.is_disturbed() && self.repeats < MAX_REPEATS
    }

    /// What is known after measuring once more: the figures that were disturbed less.
    pub(crate) fn or_better(self, again: Option<Self>) -> Self {
        let better = again.filter(|again| again.spread < self.spread).unwrap_or(self);
        Self { repeats: self.repeats + 1, ..better }
    }

    /// What the scheduler starts from.
    pub(crate) fn cost(self) -> Option<Cost> {
        let [single, batch] = [self.single_us, self.batch_us].map(|us| Duration::try_from_secs_f64(us / 1e6).ok());
        Some(Cost::guessed(self.length, single?, self.rows, batch?))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ms for one", self.single_us / 1e3)?;
        if self.rows > 1 {
            write!(f, ", {:.2} ms for {}", self.batch_us / 1e3, self.rows)?;
        }
        if self.is_disturbed() {
            write!(f, " (disturbed by other programs: runs differed by {:.0} %)", self.spread * 100.0)?;
        }
        Ok(())
    }
}

/// Measures with rows of the length of `sample`. `None` when the session fails.
pub(super) fn measure(
    session: &mut dyn Session,
    sample: &[NamedTensor],
    ragged: Option<&Ragged>,
    may_batch: bool,
) -> Option<Speed> {
    let axis = ragged.map(|ragged| ragged.axis);
    let lengths = sample.iter().filter_map(|input| input.tensor.shape().get(axis?).copied());
    let length = lengths.max().unwrap_or(1);
    let (single_us, spread) = fastest(session, &Batch::Padded(sample.to_vec()))?;
    if !may_batch {
        return Some(Speed { single_us, batch_us: single_us, rows: 1, length, spread, repeats: 0 });
    }
    let batch = gather(&[sample; BATCH_ROWS], ragged).ok()?;
    let (batch_us, batch_spread) = fastest(session, &Batch::Padded(batch))?;
    Some(Speed { single_us, batch_us, rows: BATCH_ROWS, length, spread: spread.max(batch_spread), repeats: 0 })
}

/// Microseconds of the fastest run, and by what share of it the median took longer.
fn fastest(session: &mut dyn Session, batch: &Batch) -> Option<(f64, f64)> {
    let begun_at = Instant::now();
    let mut runs_us = Vec::with_capacity(RUNS);
    for run in 0..WARM_UP_RUNS + RUNS {
        let started_at = Instant::now();
        session.run(batch).ok()?;
        if run >= WARM_UP_RUNS || begun_at.elapsed() > TIME_LIMIT {
            runs_us.push(started_at.elapsed().as_secs_f64() * 1e6);
        }
        if begun_at.elapsed() > TIME_LIMIT {
            break;
        }
    }
    spread(&mut runs_us)
}

/// The least of these times, and by what share of it the median is longer; `None` without any.
fn spread(runs_us: &mut [f64]) -> Option<(f64, f64)> {
    runs_us.sort_by(f64::total_cmp);
    let fastest_us = *runs_us.first()?;
    let median_us = runs_us[runs_us.len() / 2];
    Some((fastest_us, if fastest_us > 0.0 { median_us / fastest_us - 1.0 } else { 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(spread: f64) -> Speed {
        Speed { single_us: 1000.0, batch_us: 4000.0, rows: 8, length: 16, spread, repeats: 0 }
    }

    #[test]
    fn one_run_that_was_interrupted_is_no_disturbance_and_most_of_them_are() {
        let (fastest_us, calm) = spread(&mut [1000.0, 9000.0, 1050.0, 1020.0, 1100.0]).expect("five runs");
        assert!((fastest_us - 1000.0).abs() < 1e-9 && (calm - 0.05).abs() < 1e-9, "{calm}");
        let (_, busy) = spread(&mut [1000.0, 1900.0, 1500.0, 1020.0, 1600.0]).expect("five runs");
        assert!(speed(busy).is_disturbed() && !speed(calm).is_disturbed());
        assert!(spread(&mut []).is_none());
    }

    #[test]
    fn what_was_disturbed_is_measured_again_until_it_is_quiet_or_often_enough() {
        let mut known = speed(0.8);
        for _ in 0..MAX_REPEATS {
            assert!(known.is_provisional());
            known = known.or_better(Some(speed(0.9)));
        }
        assert!(!known.is_provisional(), "a machine that is never quiet starts as fast as others");
        assert!((known.spread - 0.8).abs() < 1e-9, "the worse figures are not taken");
        let quiet = speed(0.8).or_better(Some(Speed { single_us: 700.0, ..speed(0.1) }));
        assert!(!quiet.is_provisional() && (quiet.single_us - 700.0).abs() < 1e-9);
        assert!(speed(0.8).or_better(None).is_disturbed(), "a session that fails teaches nothing");
    }

    #[test]
    fn figures_that_were_kept_before_say_nothing_of_disturbance() {
        let old = r#"{"single_us":1.0,"batch_us":2.0,"rows":8,"length":16}"#;
        let speed: Speed = serde_json::from_str(old).expect("reads");
        assert!(!speed.is_disturbed() && !speed.is_provisional());
    }
}
