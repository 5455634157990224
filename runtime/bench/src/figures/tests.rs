use std::time::{Duration, Instant};

use super::*;
use crate::answer::{Answer, Stages};
use crate::record::Times;
use crate::span::Span;

fn facts(load: Load) -> StreamFacts {
    StreamFacts {
        name: "s".to_owned(),
        deployment: "embedder".to_owned(),
        mix: "short".to_owned(),
        load,
        request_texts: 1,
        lane: Lane::default(),
    }
}

fn recorder() -> Recorder {
    let span = Span { start: Instant::now(), duration: Duration::from_secs(3), windows: 3 };
    let mut recorder = Recorder::new(span);
    for request in 0..300_u64 {
        let intended = span.start + Duration::from_millis(request * 10);
        let finished = intended + Duration::from_micros(1000 + request);
        let times = Times { intended, sent: intended, finished, is_counted: true };
        let stages = Stages { queue: 100_000, infer: 500_000, total: 700_000, ..Stages::default() };
        let answer = Answer { tokens: 16, stages: Some(stages), ..Answer::default() };
        recorder.answer(times, 1, &answer, None);
    }
    recorder
}

#[test]
fn figures_are_those_of_what_was_noted() {
    let slo = Slo { quantile: 0.99, limit_us: 1150.0 };
    let figures = StreamFigures::of(facts(Load::Clients(1)), &recorder(), Some(slo));
    // Half of the answers are within 1.15 ms.
    assert!((figures.goodput_per_s.expect("there is an objective") - 50.0).abs() < 1.0, "{figures:?}");
    assert!((figures.objective_us.expect("there is an objective") - 1297.0).abs() < 2.0, "{figures:?}");
    assert_eq!(figures.requests, 300);
    assert!((figures.requests_per_s - 100.0).abs() < 1e-9);
    assert!((figures.tokens_per_s - 1600.0).abs() < 1e-9);
    let latency = figures.latency.expect("there are answers");
    // Three digits.
    assert!((latency.p50_us - 1150.0).abs() < 2.0, "{latency:?}");
    assert!((latency.max_us - 1299.0).abs() < 2.0, "{latency:?}");
    let stages = figures.stages.expect("told");
    assert_eq!((stages.queue_us, stages.infer_us, stages.other_us), (100.0, 500.0, 100.0));
    assert!((stages.outside_us - 449.5).abs() < 1.0, "{stages:?}");
    assert!(figures.stability.is_stable);
    assert_eq!(figures.windows.len(), 3);
    assert_eq!(figures.histogram.iter().map(|bar| bar.1).sum::<u64>(), 300);
}

#[test]
fn nothing_at_all_has_no_latency_and_is_not_stable() {
    let span = Span { start: Instant::now(), duration: Duration::from_secs(3), windows: 3 };
    let figures = StreamFigures::of(facts(Load::Clients(1)), &Recorder::new(span), None);
    assert_eq!((figures.requests, figures.latency, figures.stages), (0, None, None));
    assert!(!figures.stability.is_stable && figures.histogram.is_empty());
}
