//! A whole report: everything that was measured, and what one has to know to read it. Its JSON form is described in
//! `docs/benchmarks.md`.

use serde::{Deserialize, Serialize};

use crate::cold::ColdFigures;
use crate::environment::Environment;
use crate::figures::{RunFigures, StreamFigures};
use crate::shapes::ShapeFigures;
use crate::slo::Slo;

/// Name and version of the form. A new number means that a reader of the old one may go wrong.
pub const SCHEMA: &str = "wisp-bench/1";

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it was measured.
    pub environment: Environment,
    /// How it was measured.
    pub method: MethodFacts,
    /// Milliseconds from the start of the server's process until it served, where it is ours.
    pub server_start_ms: Option<f64>,
    /// Each run.
    pub runs: Vec<RunFigures>,
    /// Each search for the highest rate that keeps the objective; its runs are among the others.
    pub searches: Vec<SearchFigures>,
    /// What each shape of a batch takes.
    pub shapes: Vec<ShapeFigures>,
    /// What a start takes.
    pub cold: Vec<ColdFigures>,
    /// Placements and precisions that this machine does not run.
    pub skipped: Vec<Skipped>,
    /// Why the report is not whole, if it is not.
    pub ended_early: Option<String>,
}

/// How a report was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodFacts {
    /// Seconds of warming up before each run.
    pub warm_up_s: f64,
    /// Seconds that each run was to measure.
    pub duration_s: f64,
    /// Different texts of each mix.
    pub pool_texts: usize,
    /// Seed of texts and arrivals.
    pub seed: u64,
    /// Whether vectors were compared with their references.
    pub is_checked: bool,
    /// Threads of the client.
    pub client_threads: usize,
    /// The objective, if there is one.
    pub slo: Option<Slo>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchFigures {
    /// Target, deployment and mix.
    pub name: String,
    /// The placement and precision, where several were measured.
    pub variant: Option<String>,
    /// The objective.
    pub slo: Slo,
    /// The highest rate in requests a second that kept it; `None` when none did.
    pub best_per_s: Option<f64>,
    /// Most answers a second that kept it, at any rate.
    pub goodput_per_s: f64,
    /// Each rate that was tried, in order.
    pub tried: Vec<Tried>,
}

/// A rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Requests a second that were sent.
    pub offered_per_s: f64,
    /// Answers a second that came.
    pub answered_per_s: f64,
    /// The quantile of the objective.
    pub quantile_us: f64,
    /// Answers a second that kept the objective.
    pub goodput_per_s: f64,
    /// Whether the objective held.
    pub holds: bool,
}

/// What could not be measured here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Placement and precision.
    pub variant: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// A report of nothing yet.
    #[must_use]
    pub fn new(environment: Environment, method: MethodFacts) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            environment,
            method,
            server_start_ms: None,
            runs: Vec::new(),
            searches: Vec::new(),
            shapes: Vec::new(),
            cold: Vec::new(),
            skipped: Vec::new(),
            ended_early: None,
        }
    }

    /// What makes the report a failure, if anything: wrong vectors first.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let streams = || self.runs.iter().flat_map(|run| run.streams.iter().map(move |stream| (run, stream)));
        let wrong: u64 = streams().map(|(_, stream)| stream.wrong).sum();
        if wrong > 0 {
            let example = streams().find_map(|(_, stream)| stream.wrong_example.clone()).unwrap_or_default();
            return Some(format!("{wrong} answers are wrong; one of them: {example}"));
        }
        if let Some(reason) = &self.ended_early {
            return Some(reason.clone());
        }
        if let Some((run, stream)) = streams().find(|(_, stream)| stream.latency.is_none()) {
            return Some(format!(
                "{}: not one request of stream `{}` was answered{}",
                run.name,
                stream.facts.name,
                why(stream)
            ));
        }
        if self.runs.is_empty() && self.shapes.is_empty() && self.cold.is_empty() {
            let reasons = self.skipped.iter().map(|skipped| format!("\n  - {}: {}", skipped.variant, skipped.reason));
            return Some(format!("nothing could be measured:{}", reasons.collect::<String>()));
        }
        None
    }
}

/// The most frequent failure, for a message.
fn why(stream: &StreamFigures) -> String {
    let most = stream.failures.iter().max_by_key(|(_, failure)| failure.count);
    most.map_or(String::new(), |(code, failure)| format!("; {} times {code}: {}", failure.count, failure.example))
}
