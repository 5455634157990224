//! A service level objective, and the search for the highest rate that keeps it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plan::parse_duration;

/// The search ends when what held and what did not are this close, as a share of the higher.
const RESOLUTION: f64 = 0.05;

/// Most rates that are tried.
const TRIES_LIMIT: usize = 12;

/// How much higher the next rate is while everything holds.
const GROWTH: f64 = 1.5;

/// What a run must answer, as a share of what was asked, to have kept up.
pub const KEPT_UP: f64 = 0.97;

/// A quantile of latency and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// From 0 to 1; 1 is the maximum.
    pub quantile: f64,
    /// The bound in microseconds.
    pub limit_us: f64,
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error =
            || format!("`{text}` is no objective; write p99=5ms, with p50 to p99.99 or max, and a time above 0");
        let (name, limit) = text.split_once('=').ok_or_else(error)?;
        let quantile = match name {
            "max" => Some(1.0),
            _ => name.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok()).map(|percent| percent / 100.0),
        };
        let quantile = quantile.filter(|quantile| (0.5..=1.0).contains(quantile)).ok_or_else(error)?;
        let limit_us = parse_duration(limit)?.as_secs_f64() * 1e6;
        if limit_us > 0.0 { Ok(Self { quantile, limit_us }) } else { Err(error()) }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit_ms = self.limit_us / 1e3;
        if self.quantile >= 1.0 {
            return write!(f, "max ≤ {limit_ms} ms");
        }
        // 0.999 is not 99.9 / 100 to the last bit.
        let percent = (self.quantile * 1e6).round() / 1e4;
        write!(f, "p{percent} ≤ {limit_ms} ms")
    }
}

/// A search by doubling and halving, one rate at a time.
#[derive(Clone, Debug)]
pub struct Search {
    next: f64,
    held: Option<f64>,
    failed: Option<f64>,
    tries: usize,
}

impl Search {
    /// Begins at `first` requests a second, above 0.
    #[must_use]
    pub fn new(first: f64) -> Self {
        Self { next: first, held: None, failed: None, tries: 0 }
    }

    /// The rate to try next; `None` when the search is done.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let is_close = match (self.held, self.failed) {
            (Some(held), Some(failed)) => failed - held <= failed * RESOLUTION,
            _ => false,
        };
        (!is_close && self.tries < TRIES_LIMIT).then_some(self.next)
    }

    /// Says whether the objective held at the rate that was tried.
    pub fn note(&mut self, holds: bool) {
        self.tries += 1;
        let bound = if holds { &mut self.held } else { &mut self.failed };
        *bound = Some(self.next);
        self.next = match (self.held, self.failed) {
            (Some(held), None) => held * GROWTH,
            (None, Some(failed)) => failed / 2.0,
            (Some(held), Some(failed)) => f64::midpoint(held, failed),
            (None, None) => self.next,
        };
    }

    /// The highest rate that held.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(first: f64, capacity: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(first);
        while let Some(rate) = search.rate() {
            search.note(rate <= capacity);
        }
        (search.best(), search.tries)
    }

    #[test]
    fn the_search_ends_close_below_what_holds() {
        for (first, capacity) in [(100.0, 100.0), (100.0, 730.0), (800.0, 130.0), (50.0, 55.0)] {
            let (best, tries) = search(first, capacity);
            let best = best.expect("something holds");
            assert!(best <= capacity && best >= capacity * 0.94, "{first} {capacity}: {best}");
            assert!(tries <= 10, "{first} {capacity}: {tries} tries");
        }
    }

    #[test]
    fn an_objective_that_nothing_holds_ends_as_well() {
        assert_eq!(search(100.0, 0.0), (None, TRIES_LIMIT));
        // And one that everything holds.
        let (best, tries) = search(1.0, f64::INFINITY);
        assert!(best.is_some() && tries == TRIES_LIMIT);
    }

    #[test]
    fn objectives_are_read_and_written() {
        for (text, shown) in
            [("p99=5ms", "p99 ≤ 5 ms"), ("p99.9=1s", "p99.9 ≤ 1000 ms"), ("max=250us", "max ≤ 0.25 ms")]
        {
            assert_eq!(text.parse::<Slo>().expect(text).to_string(), shown);
        }
        for text in ["", "p99", "p99=5", "p0=5ms", "p101=5ms", "q99=5ms", "p99=0ms"] {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
    }
}
