//! Two reports against each other: what became slower or faster, beyond what noise explains.
//!
//! A difference counts when three things agree. The windows of both runs differ by rank (Mann and Whitney's test at 1 %), so that
//! a few odd windows decide nothing. The shift between them (Hodges and Lehmann's estimate: the median of all ratios of a window to a
//! window) is at least the smallest effect that matters. And it is larger than what the thirds of either run differ by among
//! themselves: a machine that drifts by 8 % in one run proves no 8 % between two.

mod rank;

use serde::{Deserialize, Serialize};

use crate::figures::{RunFigures, StreamFigures};
use crate::load::Load;
use crate::report::Report;
use rank::{is_different, shift};

/// What the smallest effect is multiplied by for the 99th percentile, which a few requests make.
const TAIL_FACTOR: f64 = 2.0;

/// Fewest windows that say anything.
const WINDOWS_LEAST: usize = 6;

/// How two reports compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Every figure of every stream that both have.
    pub rows: Vec<Row>,
    /// Streams that only one of them has.
    pub unmatched: Vec<String>,
    /// What differs in the environments, apart from the date.
    pub differences: Vec<String>,
}

/// One figure of one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The run, and the stream where there are several.
    pub name: String,
    /// The figure.
    pub figure: Figure,
    /// Median of the windows before.
    pub before: f64,
    /// Median of the windows after.
    pub after: f64,
    /// The estimated change as a share: 0.1 is 10 % more.
    pub change: f64,
    /// What it means.
    pub verdict: Verdict,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Answers a second; of closed loops alone, because an open loop sends what it is told to.
    Throughput,
    /// Median latency.
    P50,
    /// 99th percentile of latency.
    P99,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing beyond noise.
    Same,
    /// Better.
    Better,
    /// Worse: a regression.
    Worse,
    /// A difference that the runs are too unsteady to prove, or too short.
    Unsure,
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Throughput => "requests/s",
            Self::P50 => "p50",
            Self::P99 => "p99",
        })
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Unsure => "unsure",
        })
    }
}

impl Comparison {
    /// Compares `after` with `before`; differences below `least_effect` (0.05 is 5 %) do not matter.
    #[must_use]
    pub fn of(before: &Report, after: &Report, least_effect: f64) -> Self {
        let (old, new) = (streams(before), streams(after));
        let mut rows = Vec::new();
        let mut unmatched = Vec::new();
        for (name, samples) in &old {
            match new.iter().find(|(other, _)| other == name) {
                Some((_, other)) => rows.extend(samples.compare(name, other, least_effect)),
                None => unmatched.push(format!("{name}: only before")),
            }
        }
        let is_new = |name: &String| old.iter().all(|(other, _)| other != name);
        unmatched.extend(new.iter().filter(|(name, _)| is_new(name)).map(|(name, _)| format!("{name}: only after")));
        Self { rows, unmatched, differences: differences(before, after) }
    }

    /// What became worse.
    pub fn regressions(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.verdict == Verdict::Worse)
    }
}

/// The windows of all runs of one name: several of them are one sample, so repeated runs make a comparison sharper.
#[derive(Default)]
struct Samples {
    throughput: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// How far thirds of a run lie from their mean, at most.
    throughput_noise: f64,
    latency_noise: f64,
    is_closed_loop: bool,
}

impl Samples {
    fn add(&mut self, stream: &StreamFigures) {
        let answered = stream.windows.iter().filter(|window| window.p50_us > 0.0);
        for window in answered {
            self.throughput.push(window.requests_per_s);
            self.p50.push(window.p50_us);
            self.p99.push(window.p99_us);
        }
        self.throughput_noise = self.throughput_noise.max(stream.stability.throughput_deviation);
        self.latency_noise = self.latency_noise.max(stream.stability.p50_deviation);
        self.is_closed_loop = matches!(stream.facts.load, Load::Clients(_));
    }

    fn compare(&self, name: &str, after: &Self, least_effect: f64) -> Vec<Row> {
        let row = |figure, old: &[f64], new: &[f64], noise: f64, least: f64| {
            let change = shift(old, new);
            let is_worse = if figure == Figure::Throughput { change < 0.0 } else { change > 0.0 };
            let verdict = match change.abs() {
                size if size < least => Verdict::Same,
                _ if old.len() < WINDOWS_LEAST || new.len() < WINDOWS_LEAST => Verdict::Unsure,
                _ if !is_different(old, new) => Verdict::Same,
                size if size <= noise => Verdict::Unsure,
                _ if is_worse => Verdict::Worse,
                _ => Verdict::Better,
            };
            Row { name: name.to_owned(), figure, before: median(old), after: median(new), change, verdict }
        };
        let latency_noise = self.latency_noise.max(after.latency_noise);
        let tail = least_effect * TAIL_FACTOR;
        let mut rows = Vec::new();
        if self.is_closed_loop {
            let noise = self.throughput_noise.max(after.throughput_noise);
            rows.push(row(Figure::Throughput, &self.throughput, &after.throughput, noise, least_effect));
        }
        rows.push(row(Figure::P50, &self.p50, &after.p50, latency_noise, least_effect));
        rows.push(row(Figure::P99, &self.p99, &after.p99, latency_noise * TAIL_FACTOR, tail));
        rows
    }
}

fn streams(report: &Report) -> Vec<(String, Samples)> {
    let mut all: Vec<(String, Samples)> = Vec::new();
    for run in &report.runs {
        for stream in &run.streams {
            let name = name(run, stream);
            let index = all.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                all.push((name, Samples::default()));
                all.len() - 1
            });
            all[index].1.add(stream);
        }
    }
    all
}

fn name(run: &RunFigures, stream: &StreamFigures) -> String {
    if run.streams.len() == 1 { run.name.clone() } else { format!("{}: {}", run.name, stream.facts.name) }
}

fn differences(before: &Report, after: &Report) -> Vec<String> {
    let (old, new) = (&before.environment, &after.environment);
    let mut differences = Vec::new();
    let mut note = |what: &str, old: String, new: String| {
        if old != new {
            differences.push(format!("{what}: {old} before, {new} after"));
        }
    };
    note("machine", old.machine(), new.machine());
    note("wisp", old.wisp.clone(), new.wisp.clone());
    note("debug build", old.is_debug_build.to_string(), new.is_debug_build.to_string());
    note("libraries", format!("{:?}", old.libraries), format!("{:?}", new.libraries));
    note("models", format!("{:?}", old.models), format!("{:?}", new.models));
    note("guests", format!("{:?}", old.guests), format!("{:?}", new.guests));
    note("method", format!("{:?}", before.method), format!("{:?}", after.method));
    differences
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
