//! Whether a run has settled: three windows that agree.

use serde::{Deserialize, Serialize};

/// How far a window may lie from the mean of all three.
pub const STABLE_WITHIN: f64 = 0.10;

/// Whether the three thirds of a run agree with each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Whether throughput and median of each third lie within 10 % of their mean.
    pub is_stable: bool,
    /// The largest distance of a throughput from the mean of the three, as a share of it.
    pub throughput_deviation: f64,
    /// The same of the median latency.
    pub p50_deviation: f64,
}

/// One third of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Third {
    /// Answers a second.
    pub per_second: f64,
    /// Median latency, in any unit.
    pub p50: f64,
}

impl Stability {
    /// Judges three thirds; of an open loop the throughput is the schedule's, so only the median counts.
    #[must_use]
    pub fn judge(thirds: [Third; 3], is_open_loop: bool) -> Self {
        let throughput_deviation = deviation(thirds.map(|third| third.per_second));
        let p50_deviation = deviation(thirds.map(|third| third.p50));
        let is_stable = p50_deviation <= STABLE_WITHIN && (is_open_loop || throughput_deviation <= STABLE_WITHIN);
        Self { is_stable, throughput_deviation, p50_deviation }
    }
}

/// The largest distance from the mean, as a share of it; infinitely far when there is nothing to compare with.
fn deviation(values: [f64; 3]) -> f64 {
    let mean = values.iter().sum::<f64>() / 3.0;
    if values.iter().any(|&value| value <= 0.0) {
        return 1.0;
    }
    values.iter().map(|value| (value - mean).abs() / mean).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_windows_within_a_tenth_are_stable() {
        let thirds = |values: [(f64, f64); 3]| values.map(|(per_second, p50)| Third { per_second, p50 });
        for (values, is_open_loop, is_stable) in [
            ([(100.0, 5.0), (100.0, 5.0), (100.0, 5.0)], false, true),
            ([(95.0, 5.2), (105.0, 4.8), (100.0, 5.0)], false, true),
            ([(80.0, 5.0), (110.0, 5.0), (110.0, 5.0)], false, false),
            ([(80.0, 5.0), (110.0, 5.0), (110.0, 5.0)], true, true),
            ([(100.0, 5.0), (100.0, 5.0), (100.0, 8.0)], true, false),
            ([(100.0, 5.0), (100.0, 5.0), (0.0, 0.0)], false, false),
        ] {
            assert_eq!(Stability::judge(thirds(values), is_open_loop).is_stable, is_stable, "{values:?}");
        }
    }
}
