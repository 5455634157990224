//! How much is asked at one time: a closed loop of clients, or an open loop of arrivals.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::SplitMix64;

/// Most clients of a closed loop: more than any server takes at one time.
pub const CLIENTS_LIMIT: usize = 10_000;

/// Highest rate of an open loop, in requests a second: beyond it a client of this kind measures itself.
pub const RATE_LIMIT: f64 = 1e6;

/// The load of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// So many clients, each of which sends its next request when the last is answered.
    Clients(usize),
    /// So many requests a second, whether or not the others are answered. Latency counts from the time a request was
    /// meant to be sent, so a server that stalls cannot hide it.
    Rate {
        /// Requests a second.
        per_second: f64,
        /// How they arrive.
        arrivals: Arrivals,
    },
}

/// The times at which requests of an open loop arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Exponential gaps: callers that know nothing of each other.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients(1) => f.write_str("1 client"),
            Self::Clients(clients) => write!(f, "{clients} clients"),
            Self::Rate { per_second, arrivals } => write!(f, "{per_second}/s {arrivals}"),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        })
    }
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "poisson" => Ok(Self::Poisson),
            "constant" => Ok(Self::Constant),
            _ => Err(format!("unknown arrivals `{name}`; one of poisson, constant")),
        }
    }
}

/// The times of an open loop, from its start on; without an end.
#[derive(Clone, Debug)]
pub struct Schedule {
    mean_gap_s: f64,
    arrivals: Arrivals,
    random: SplitMix64,
    next_s: f64,
}

impl Schedule {
    /// Arrivals at a rate above 0 requests a second.
    #[must_use]
    pub fn new(per_second: f64, arrivals: Arrivals, seed: u64) -> Self {
        Self { mean_gap_s: 1.0 / per_second, arrivals, random: SplitMix64::new(seed), next_s: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.next_s += match self.arrivals {
            Arrivals::Constant => self.mean_gap_s,
            // The inverse of the exponential distribution; 1 - u is never 0.
            Arrivals::Poisson => -(1.0 - self.random.unit()).ln() * self.mean_gap_s,
        };
        Duration::try_from_secs_f64(self.next_s).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_are_equally_far_apart() {
        let times: Vec<_> = Schedule::new(500.0, Arrivals::Constant, 1).take(3).collect();
        let millis: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        for (time, expected) in millis.iter().zip([2.0, 4.0, 6.0]) {
            assert!((time - expected).abs() < 1e-6, "{millis:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_distribution() {
        let times: Vec<_> = Schedule::new(100.0, Arrivals::Poisson, 5).take(20_000).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Mean and standard deviation of an exponential distribution are equal; 20,000 draws are within 5 %.
        assert!((mean - 0.01).abs() < 0.0005, "mean {mean}");
        assert!((variance.sqrt() - 0.01).abs() < 0.0005, "deviation {}", variance.sqrt());
    }

    #[test]
    fn a_seed_repeats_the_arrivals() {
        let times = |seed| Schedule::new(10.0, Arrivals::Poisson, seed).take(50).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }
}
