//! The figures of a run: what stands in reports, computed from what was noted.

mod derive;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::answer::Lane;
use crate::load::Load;
use crate::record::Recorder;
use crate::refusals::RefusalFigures;
use crate::slo::Slo;
use crate::stability::Stability;
use derive::{bars, goodput, stages, thirds, windows};

/// The figures of one run: some streams at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFigures {
    /// What tells the run from others of its report.
    pub name: String,
    /// The placement and precision, where several were measured.
    pub variant: Option<String>,
    /// What was asked: `server`, `engine` or `backend`.
    pub target: String,
    /// Seconds that were measured.
    pub measured_s: f64,
    /// Share of all processors that this process used; `None` where it runs the target itself.
    pub client_cpu_share: Option<f64>,
    /// Share of our processors that others took meanwhile; `None` where nobody tells, or the target is not ours to look at.
    #[serde(default)]
    pub others_cpu_share: Option<f64>,
    /// Microseconds of processor time that a fixed piece of work took meanwhile: how fast the processors themselves were.
    #[serde(default)]
    pub yardstick_us: Option<f64>,
    /// What the process of the target used; `None` for a server that is not ours to look at.
    pub usage: Option<UsageFigures>,
    /// What the target says of its refusals, warm-up included; empty when nothing was refused, or the target is not ours to ask.
    #[serde(default)]
    pub refusals: Vec<RefusalFigures>,
    /// Why the run ended before its time, if it did.
    pub ended_early: Option<String>,
    /// Each stream.
    pub streams: Vec<StreamFigures>,
}

/// What a process used in a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageFigures {
    /// Seconds on processors.
    pub cpu_s: f64,
    /// The same for a thousand texts that were embedded.
    pub cpu_s_per_1000_texts: Option<f64>,
    /// Most resident memory in the run, in bytes.
    pub peak_rss_bytes: u64,
    /// Joules of the processor package, where the system tells.
    pub joules: Option<f64>,
}

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// The deployment.
    pub deployment: String,
    /// The texts: the name of a mix, or `file`.
    pub mix: String,
    /// The load.
    pub load: Load,
    /// Texts in a request.
    pub request_texts: usize,
    /// The lane.
    pub lane: Lane,
}

/// The figures of one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFigures {
    /// What it is.
    #[serde(flatten)]
    pub facts: StreamFacts,
    /// Answers inside the measured time.
    pub requests: u64,
    /// Answers a second.
    pub requests_per_s: f64,
    /// Requests a second that the schedule of an open loop had: random arrivals are not exactly as many as was asked for.
    #[serde(default)]
    pub offered_per_s: Option<f64>,
    /// Texts a second.
    pub texts_per_s: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Latencies; `None` without any answer.
    pub latency: Option<Latency>,
    /// The quantile of the objective in microseconds, where there is one.
    pub objective_us: Option<f64>,
    /// Answers a second that kept the objective, where there is one.
    pub goodput_per_s: Option<f64>,
    /// How late requests of an open loop were sent.
    pub send_lag: Option<Latency>,
    /// Rows of an inference, on average; `None` where the target does not tell.
    pub mean_batch: Option<f64>,
    /// Share of computed tokens that are padding.
    pub padding_ratio: Option<f64>,
    /// Mean time of each stage.
    pub stages: Option<StageFigures>,
    /// Requests that were refused.
    pub refused: u64,
    /// Everything that was no answer, refusals included, by code.
    pub failures: BTreeMap<String, FailureFigures>,
    /// Requests of an open loop that were never sent, because too many were on their way.
    pub unsent: u64,
    /// Answers with a wrong vector.
    pub wrong: u64,
    /// One of them.
    pub wrong_example: Option<String>,
    /// Vectors that were compared with their reference and right.
    pub checked: u64,
    /// The smallest cosine of those.
    pub min_cosine: Option<f64>,
    /// What computed the answers.
    pub placements: Vec<String>,
    /// Whether the run has settled.
    pub stability: Stability,
    /// The windows of the run, for comparisons.
    pub windows: Vec<WindowFigures>,
    /// Latencies as bars: upper end in microseconds, and how many. Bars are as wide as each other on a logarithmic scale.
    pub histogram: Vec<(f64, u64)>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the quantile of its name")]
pub struct Latency {
    pub mean_us: f64,
    pub p50_us: f64,
    pub p75_us: f64,
    pub p90_us: f64,
    pub p95_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

/// Mean microseconds of each stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageFigures {
    /// Waiting for the session.
    pub queue_us: f64,
    /// Tokenising in the host.
    pub tokenize_us: f64,
    /// The guest's instance and own code.
    pub guest_us: f64,
    /// Putting rows together and taking results apart.
    pub gather_us: f64,
    /// In the session.
    pub infer_us: f64,
    /// Between those, inside the target.
    pub other_us: f64,
    /// Around the target: protocol, network and client.
    pub outside_us: f64,
}

/// Failures of one code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureFigures {
    /// How many.
    pub count: u64,
    /// The message of the first.
    pub example: String,
}

/// One window of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowFigures {
    /// Answers a second.
    pub requests_per_s: f64,
    /// Median latency in microseconds; 0 without any answer.
    pub p50_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
}

impl Latency {
    /// Microseconds out of nanoseconds; `None` for an empty histogram.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p75_us: at(0.75),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1e3,
        })
    }
}

impl StreamFigures {
    /// The figures of what was noted.
    #[must_use]
    pub fn of(facts: StreamFacts, recorder: &Recorder, slo: Option<Slo>) -> Self {
        let (sums, seconds) = (&recorder.sums, recorder.span.duration.as_secs_f64());
        let is_open_loop = matches!(facts.load, Load::Rate { .. });
        let failures = sums.failures.iter().map(|(code, failure)| {
            (code.clone(), FailureFigures { count: failure.count, example: failure.example.clone() })
        });
        Self {
            requests: sums.requests,
            requests_per_s: sums.requests as f64 / seconds,
            offered_per_s: is_open_loop.then(|| sums.offered as f64 / seconds),
            texts_per_s: sums.texts as f64 / seconds,
            tokens_per_s: sums.tokens as f64 / seconds,
            latency: Latency::of(&recorder.latency),
            objective_us: slo
                .filter(|_| !recorder.latency.is_empty())
                .map(|slo| recorder.latency.value_at_quantile(slo.quantile) as f64 / 1e3),
            goodput_per_s: slo.map(|slo| goodput(recorder, slo)),
            send_lag: if is_open_loop { Latency::of(&recorder.lag) } else { None },
            mean_batch: sums.shared.mean_batch(),
            padding_ratio: sums.shared.padding(),
            stages: stages(recorder),
            refused: sums.refused,
            failures: failures.collect(),
            unsent: sums.unsent,
            wrong: sums.wrong,
            wrong_example: sums.wrong_example.clone(),
            checked: sums.checked,
            min_cosine: sums.min_cosine,
            placements: sums.placements.iter().cloned().collect(),
            stability: Stability::judge(thirds(recorder), is_open_loop),
            windows: windows(recorder),
            histogram: bars(&recorder.latency),
            facts,
        }
    }

    /// Requests that failed for another reason than a refusal.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failure| failure.count).sum::<u64>().saturating_sub(self.refused)
    }
}

impl StageFigures {
    /// Each stage with its name, in the order a request meets them.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("queue", self.queue_us),
            ("tokenize", self.tokenize_us),
            ("guest", self.guest_us),
            ("gather", self.gather_us),
            ("infer", self.infer_us),
            ("other", self.other_us),
            ("outside", self.outside_us),
        ]
    }
}

#[cfg(test)]
mod tests;
