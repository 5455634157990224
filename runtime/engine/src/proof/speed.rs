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

/// How fast a session is on this machine. Medians of a benchmark are `wisp bench`'s; this is to choose between precisions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Microseconds for one row.
    pub single_us: f64,
    /// Microseconds for [`rows`](Speed::rows) rows.
    pub batch_us: f64,
    /// Rows in the batch; 1 where rows may not share an inference.
    pub rows: usize,
    /// Length of the rows; 0 where it was not noted.
    #[serde(default)]
    pub length: usize,
}

impl Speed {
    /// What is compared: the time for a lone row and the time a row of the batch takes, each as much as the other.
    #[must_use]
    pub fn cost_us(&self) -> f64 {
        (self.single_us * self.batch_us / self.rows as f64).sqrt()
    }

    /// What the scheduler starts from.
    pub(crate) fn cost(self) -> Option<Cost> {
        let [single, batch] = [self.single_us, self.batch_us].map(|us| Duration::try_from_secs_f64(us / 1e6).ok());
        (self.length > 0).then_some(Cost::guessed(self.length, single?, self.rows, batch?))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ms for one", self.single_us / 1e3)?;
        if self.rows > 1 {
            write!(f, ", {:.2} ms for {}", self.batch_us / 1e3, self.rows)?;
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
    let single_us = fastest(session, &Batch::Padded(sample.to_vec()))?;
    if !may_batch {
        return Some(Speed { single_us, batch_us: single_us, rows: 1, length });
    }
    let batch = gather(&[sample; BATCH_ROWS], ragged).ok()?;
    let batch_us = fastest(session, &Batch::Padded(batch))?;
    Some(Speed { single_us, batch_us, rows: BATCH_ROWS, length })
}

fn fastest(session: &mut dyn Session, batch: &Batch) -> Option<f64> {
    let begun_at = Instant::now();
    let mut fastest = f64::INFINITY;
    for run in 0..WARM_UP_RUNS + RUNS {
        let started_at = Instant::now();
        session.run(batch).ok()?;
        if run >= WARM_UP_RUNS || begun_at.elapsed() > TIME_LIMIT {
            fastest = fastest.min(started_at.elapsed().as_secs_f64() * 1e6);
        }
        if begun_at.elapsed() > TIME_LIMIT {
            break;
        }
    }
    Some(fastest)
}
