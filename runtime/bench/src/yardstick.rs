//! A fixed piece of work, measured beside a run: whether the processors themselves were as fast as the last time.
//!
//! Virtual machines share cores, caches and clocks with strangers, and nothing that a system counts tells. The processor time of
//! the same work does: waiting for a processor is no part of it, being slowed down on one is.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Values that are worked on: what fits into the nearest cache.
const VALUES: usize = 4096;

/// Passes over them, some tenths of a millisecond in all: less than a hundredth of one processor at ten looks a second.
const PASSES: usize = 50;

/// Fewest looks that a figure comes from.
const LOOKS_LEAST: usize = 5;

/// Looks at the speed of the processor.
#[derive(Clone, Debug)]
pub struct Yardstick {
    values: Vec<f32>,
    looks_us: Vec<f64>,
}

impl Default for Yardstick {
    fn default() -> Self {
        let values = (0..VALUES).map(|index| 1.0 + index as f32 * 1e-6).collect();
        Self { values, looks_us: Vec::new() }
    }
}

impl Yardstick {
    /// Works once, on this thread.
    pub fn look(&mut self) {
        let started_us = thread_time_us();
        for _ in 0..PASSES {
            let sums = self.values.chunks_exact(8).fold([0.0_f32; 8], |mut sums, chunk| {
                sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value * value);
                sums
            });
            black_box(sums);
            black_box(&mut self.values);
        }
        self.looks_us.push(thread_time_us() - started_us);
    }

    /// Median microseconds of processor time; `None` after too few looks.
    #[must_use]
    pub fn median_us(&self) -> Option<f64> {
        let mut looks = self.looks_us.clone();
        looks.sort_by(f64::total_cmp);
        (looks.len() >= LOOKS_LEAST).then(|| looks[looks.len() / 2])
    }
}

/// Processor time of this thread.
fn thread_time_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_needs_some_looks_and_takes_some_time() {
        let mut yardstick = Yardstick::default();
        yardstick.look();
        assert_eq!(yardstick.median_us(), None);
        (0..LOOKS_LEAST).for_each(|_| yardstick.look());
        assert!(yardstick.median_us().is_some_and(|microseconds| microseconds > 0.0));
    }
}
