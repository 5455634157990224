//! What is noted of each request while a run goes on: latencies, sums and failures, whole and by window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::answer::{Answer, Batching, Failure, FailureKind, Stages};
use crate::expectation::Verdict;
use crate::span::Span;

/// Digits that a latency is kept with.
const DIGITS: u8 = 3;

/// When a request was to be sent, was sent, and came back.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was meant to be sent: latency counts from here.
    pub intended: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was there.
    pub finished: Instant,
    /// Whether its latency counts: of a closed loop what ends in the span or after it, of an open loop what was to be sent in it.
    pub is_counted: bool,
}

/// What is known of one stream in one run.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(crate) span: Span,
    /// Seconds of one window.
    pub(crate) window_s: f64,
    /// Nanoseconds of every counted answer.
    pub(crate) latency: Histogram<u64>,
    /// Nanoseconds that requests were sent late.
    pub(crate) lag: Histogram<u64>,
    pub(crate) windows: Vec<Window>,
    pub(crate) sums: Sums,
}

/// One window of the span.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) latency: Histogram<u64>,
    pub(crate) requests: u64,
}

/// Counts and sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// Answers, texts and tokens that came back inside the span.
    pub(crate) requests: u64,
    pub(crate) texts: u64,
    pub(crate) tokens: u64,
    /// Counted answers that name stages, their stages, and their latencies.
    pub(crate) staged: u64,
    pub(crate) stages: Stages,
    pub(crate) staged_latency_ns: u64,
    pub(crate) shared: SharedSums,
    pub(crate) refused: u64,
    pub(crate) failures: BTreeMap<String, FailureCount>,
    pub(crate) wrong: u64,
    pub(crate) wrong_example: Option<String>,
    pub(crate) checked: u64,
    pub(crate) min_cosine: Option<f64>,
    pub(crate) placements: BTreeSet<String>,
    /// Requests of an open loop that were never sent, because too many were on their way.
    pub(crate) unsent: u64,
    /// Requests that the schedule of an open loop had inside the span.
    pub(crate) offered: u64,
}

/// How often something failed, and one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureCount {
    pub(crate) count: u64,
    pub(crate) example: String,
    pub(crate) is_refusal: bool,
}

/// The inferences of all answers, of each only the share that is the request's own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SharedSums {
    pub(crate) rows: f64,
    pub(crate) inferences: f64,
    pub(crate) tokens: f64,
    pub(crate) padded_tokens: f64,
}

impl Recorder {
    /// Nothing noted yet.
    #[must_use]
    pub fn new(span: Span) -> Self {
        let window = Window { latency: histogram(), requests: 0 };
        let windows = vec![window; span.windows];
        let window_s = span.duration.as_secs_f64() / span.windows as f64;
        Self { span, window_s, latency: histogram(), lag: histogram(), windows, sums: Sums::default() }
    }

    /// Notes an answer to `texts` texts; `verdict` is `None` where nothing was checked.
    pub fn answer(&mut self, times: Times, texts: usize, answer: &Answer, verdict: Option<Verdict>) {
        let window = self.span.window(times.finished);
        match verdict {
            Some(Verdict::Wrong(reason)) => {
                // Wrong is wrong, while warming up as well; and it is no answer.
                self.sums.wrong += 1;
                self.sums.wrong_example.get_or_insert(reason);
                return;
            }
            Some(Verdict::Right(cosine)) => {
                self.sums.checked += texts as u64;
                self.sums.min_cosine = Some(self.sums.min_cosine.unwrap_or(1.0).min(cosine));
            }
            None => {}
        }
        if let Some(window) = window {
            self.sums.requests += 1;
            self.sums.texts += texts as u64;
            self.sums.tokens += answer.tokens;
            self.windows[window].requests += 1;
        }
        if !times.is_counted {
            return;
        }
        let nanoseconds = nanoseconds(times.finished.saturating_duration_since(times.intended));
        note(&mut self.latency, nanoseconds);
        note(&mut self.lag, self::nanoseconds(times.sent.saturating_duration_since(times.intended)));
        let last = self.windows.len() - 1;
        note(&mut self.windows[window.unwrap_or(last)].latency, nanoseconds);
        if let Some(stages) = answer.stages {
            self.sums.staged += 1;
            self.sums.stages += stages;
            self.sums.staged_latency_ns += nanoseconds;
        }
        if let Some(batching) = answer.batching {
            self.sums.shared.add(texts as u64, batching);
        }
        if let Some(placement) = &answer.placement
            && !self.sums.placements.contains(&placement.name)
        {
            self.sums.placements.insert(placement.name.clone());
        }
    }

    /// Notes a failure, as long as it is not of the time before the span.
    pub fn failure(&mut self, times: Times, failure: &Failure) {
        if times.finished < self.span.start {
            return;
        }
        let is_refusal = failure.kind == FailureKind::Refused;
        self.sums.refused += u64::from(is_refusal);
        let known = self.sums.failures.entry(failure.code.clone()).or_default();
        known.count += 1;
        known.is_refusal = is_refusal;
        if known.example.is_empty() {
            known.example.clone_from(&failure.message);
        }
    }

    /// Notes a request of an open loop that is to be sent at this time.
    pub fn offered(&mut self, intended: Instant) {
        self.sums.offered += u64::from(self.span.window(intended).is_some());
    }

    /// Notes a request that was never sent.
    pub fn unsent(&mut self) {
        self.sums.unsent += 1;
    }

    /// The span ended early, after `duration`.
    pub fn cut(&mut self, duration: Duration) {
        let kept = (duration.as_secs_f64() / self.window_s).floor();
        // Windows that are not whole would look slow.
        self.windows.truncate((kept as usize).clamp(1, self.span.windows));
        let windows = self.windows.len();
        self.span = Span { duration: duration.max(Duration::from_millis(1)), windows, ..self.span };
    }
}

impl SharedSums {
    /// Of inferences with `rows` rows in all, a request with `own` texts counts own / rows: then the sum over all requests of a
    /// batch is one batch.
    fn add(&mut self, own: u64, batching: Batching) {
        if batching.rows == 0 {
            return;
        }
        let share = own as f64 / batching.rows as f64;
        self.rows += own as f64;
        self.inferences += f64::from(batching.inferences) * share;
        self.tokens += batching.tokens as f64 * share;
        self.padded_tokens += batching.padded_tokens as f64 * share;
    }

    /// Rows of an inference, on average; `None` when nobody told.
    pub(crate) fn mean_batch(&self) -> Option<f64> {
        (self.inferences > 0.0).then(|| self.rows / self.inferences)
    }

    /// The share of computed tokens that are padding.
    pub(crate) fn padding(&self) -> Option<f64> {
        (self.padded_tokens > 0.0).then(|| 1.0 - self.tokens / self.padded_tokens)
    }
}

/// Adds a value to one of the histograms below.
fn note(histogram: &mut Histogram<u64>, value: u64) {
    // It grows with its values, so none is too large for it.
    let _ = histogram.record(value);
}

/// An empty histogram of nanoseconds, which grows with its values.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(DIGITS).expect("three digits are possible");
    histogram.auto(true);
    histogram
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span { start: Instant::now(), duration: Duration::from_secs(12), windows: 12 }
    }

    fn times(span: Span, begun_ms: u64, finished_ms: u64) -> Times {
        let at = |ms| span.start + Duration::from_millis(ms);
        Times { intended: at(begun_ms), sent: at(begun_ms), finished: at(finished_ms), is_counted: true }
    }

    #[test]
    fn throughput_is_what_came_back_in_the_span_and_latency_what_was_waited_for() {
        let span = span();
        let mut recorder = Recorder::new(span);
        recorder.answer(times(span, 500, 1500), 2, &Answer { tokens: 9, ..Answer::default() }, None);
        recorder.answer(times(span, 11_900, 12_900), 2, &Answer::default(), None);
        assert_eq!((recorder.sums.requests, recorder.sums.texts, recorder.sums.tokens), (1, 2, 9));
        assert_eq!((recorder.windows[1].requests, recorder.windows[11].requests), (1, 0));
        assert_eq!(recorder.latency.len(), 2);
    }

    #[test]
    fn the_mean_batch_counts_each_batch_once() {
        let mut sums = SharedSums::default();
        // Eight requests share one inference, one other runs alone.
        for _ in 0..8 {
            sums.add(1, Batching { inferences: 1, rows: 8, tokens: 60, padded_tokens: 80 });
        }
        sums.add(1, Batching { inferences: 1, rows: 1, tokens: 20, padded_tokens: 20 });
        assert!((sums.mean_batch().expect("told") - 4.5).abs() < 1e-9);
        assert!((sums.padding().expect("told") - 0.2).abs() < 1e-9);
        // One request that needs two inferences, alone.
        let mut sums = SharedSums::default();
        sums.add(64, Batching { inferences: 2, rows: 64, tokens: 100, padded_tokens: 100 });
        assert!((sums.mean_batch().expect("told") - 32.0).abs() < 1e-9);
        assert_eq!(SharedSums::default().mean_batch(), None);
    }

    #[test]
    fn what_is_offered_is_what_the_schedule_had_inside_the_span() {
        let span = span();
        let mut recorder = Recorder::new(span);
        for at in [span.start - Duration::from_millis(1), span.start, span.start + Duration::from_secs(11), span.end()]
        {
            recorder.offered(at);
        }
        assert_eq!(recorder.sums.offered, 2);
    }

    #[test]
    fn a_wrong_answer_is_no_answer() {
        let span = span();
        let mut recorder = Recorder::new(span);
        let wrong = Verdict::Wrong("far off".to_owned());
        recorder.answer(times(span, 0, 10), 1, &Answer::default(), Some(wrong));
        assert_eq!((recorder.sums.wrong, recorder.sums.requests, recorder.latency.len()), (1, 0, 0));
    }

    #[test]
    fn an_interrupted_span_keeps_its_whole_windows() {
        let mut recorder = Recorder::new(span());
        recorder.cut(Duration::from_millis(2500));
        assert_eq!((recorder.windows.len(), recorder.span.duration), (2, Duration::from_millis(2500)));
    }

    #[test]
    fn refusals_and_failures_are_counted_by_code() {
        let span = span();
        let mut recorder = Recorder::new(span);
        let failure = |kind, code: &str| Failure {
            kind,
            code: code.to_owned(),
            message: format!("{code} happened"),
            retry_after: None,
        };
        recorder.failure(times(span, 0, 1), &failure(FailureKind::Refused, "RESOURCE_EXHAUSTED"));
        recorder.failure(times(span, 0, 1), &failure(FailureKind::Failed, "INTERNAL"));
        recorder.failure(times(span, 0, 2), &failure(FailureKind::Failed, "INTERNAL"));
        assert_eq!((recorder.sums.refused, recorder.sums.failures["INTERNAL"].count), (1, 2));
        assert_eq!(recorder.sums.failures["INTERNAL"].example, "INTERNAL happened");
    }
}
