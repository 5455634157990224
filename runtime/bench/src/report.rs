//! A whole report: everything that was measured, and what one has to know to read it. Its JSON form is described in
//! `docs/benchmarks.md`.

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::figures::{RunFigures, StreamFigures};

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
}

impl Report {
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
        None
    }
}

/// The most frequent failure, for a message.
fn why(stream: &StreamFigures) -> String {
    let most = stream.failures.iter().max_by_key(|(_, failure)| failure.count);
    most.map_or(String::new(), |(code, failure)| format!("; {} times {code}: {}", failure.count, failure.example))
}
