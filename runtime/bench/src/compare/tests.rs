use super::*;
use crate::answer::Lane;
use crate::environment::Environment;
use crate::figures::{StreamFacts, WindowFigures};
use crate::random::SplitMix64;
use crate::report::MethodFacts;
use crate::stability::{Stability, Third};

/// A report of one run whose windows scatter by `noise` around their figures; throughput is multiplied by `factor`.
fn report(seed: u64, factor: f64, noise: f64) -> Report {
    let mut random = SplitMix64::new(seed);
    // The sum of twelve uniform numbers less six is nearly normal with a deviation of 1.
    let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let windows: Vec<_> = (0..12)
        .map(|_| {
            let (speed, tail) = (factor * (1.0 + noise * normal()), 1.0 + 3.0 * noise * normal());
            WindowFigures { requests_per_s: 500.0 * speed, p50_us: 2000.0 / speed, p99_us: 4000.0 / speed * tail }
        })
        .collect();
    let third = |third: usize| {
        let part = &windows[third * 4..third * 4 + 4];
        let mean = |of: fn(&WindowFigures) -> f64| part.iter().map(of).sum::<f64>() / 4.0;
        Third { per_second: mean(|window| window.requests_per_s), p50: mean(|window| window.p50_us) }
    };
    let stability = Stability::judge([third(0), third(1), third(2)], false);
    let facts = StreamFacts {
        name: "all".to_owned(),
        deployment: "embedder".to_owned(),
        mix: "short".to_owned(),
        load: Load::Clients(8),
        request_texts: 1,
        lane: Lane::default(),
    };
    let span = crate::span::Span {
        start: std::time::Instant::now(),
        duration: std::time::Duration::from_secs(12),
        windows: 12,
    };
    let stream = StreamFigures::of(facts, &crate::record::Recorder::new(span), None);
    let stream = StreamFigures { windows, stability, ..stream };
    let run = RunFigures {
        name: "server embedder short 8 clients".to_owned(),
        variant: None,
        target: "server".to_owned(),
        measured_s: 12.0,
        client_cpu_share: None,
        others_cpu_share: None,
        yardstick_us: None,
        usage: None,
        refusals: Vec::new(),
        ended_early: None,
        streams: vec![stream],
    };
    let method = MethodFacts {
        warm_up_s: 1.0,
        duration_s: 12.0,
        pool_texts: 8,
        seed: 1,
        is_checked: true,
        client_threads: 1,
        slo: None,
    };
    Report { runs: vec![run], ..Report::new(Environment::default(), method) }
}

#[test]
fn two_equal_runs_are_not_flagged_ten_times_out_of_ten() {
    for pair in 0..10 {
        // A window scatters by 3 %, and the machine is 2 % faster for one run than for the other.
        let drift = if pair % 2 == 0 { 1.02 } else { 0.98 };
        let (before, after) = (report(pair * 2 + 1, 1.0, 0.03), report(pair * 2 + 2, drift, 0.03));
        let comparison = Comparison::of(&before, &after, 0.05);
        assert_eq!(comparison.regressions().count(), 0, "pair {pair}: {comparison:?}");
        assert_eq!(comparison.rows.len(), 3);
    }
}

#[test]
fn a_planted_regression_of_a_tenth_is_caught_ten_times_out_of_ten() {
    for pair in 0..10 {
        let (before, after) = (report(pair * 2 + 1, 1.0, 0.02), report(pair * 2 + 2, 0.9, 0.02));
        let comparison = Comparison::of(&before, &after, 0.05);
        let worse: Vec<_> = comparison.regressions().map(|row| row.figure).collect();
        assert!(worse.contains(&Figure::Throughput) && worse.contains(&Figure::P50), "pair {pair}: {comparison:?}");
        // And the other way round it is an improvement.
        let comparison = Comparison::of(&after, &before, 0.05);
        assert_eq!(comparison.regressions().count(), 0, "pair {pair}: {comparison:?}");
        assert!(comparison.rows.iter().any(|row| row.verdict == Verdict::Better), "pair {pair}: {comparison:?}");
    }
}

#[test]
fn a_machine_that_drifts_proves_nothing() {
    let mut before = report(1, 1.0, 0.02);
    before.runs[0].streams[0].stability.throughput_deviation = 0.2;
    before.runs[0].streams[0].stability.p50_deviation = 0.2;
    let comparison = Comparison::of(&before, &report(2, 0.9, 0.02), 0.05);
    assert_eq!(comparison.rows[0].verdict, Verdict::Unsure);
}

#[test]
fn a_machine_that_does_something_else_proves_nothing() {
    let before = report(1, 1.0, 0.02);
    for (share, verdict) in [(0.02, Verdict::Worse), (0.3, Verdict::Unsure)] {
        let mut after = report(2, 0.85, 0.02);
        after.runs[0].others_cpu_share = Some(share);
        let comparison = Comparison::of(&before, &after, 0.05);
        assert_eq!(comparison.rows[0].verdict, verdict, "{share}: {comparison:?}");
        assert_eq!(comparison.rows[1].verdict, verdict, "{share}: {comparison:?}");
    }
}

#[test]
fn processors_that_were_slower_themselves_prove_nothing() {
    let mut before = report(1, 1.0, 0.02);
    before.runs[0].yardstick_us = Some(100.0);
    for (yardstick_us, verdict) in [(102.0, Verdict::Worse), (130.0, Verdict::Unsure)] {
        let mut after = report(2, 0.85, 0.02);
        after.runs[0].yardstick_us = Some(yardstick_us);
        let comparison = Comparison::of(&before, &after, 0.05);
        assert_eq!(comparison.rows[0].verdict, verdict, "{yardstick_us}: {comparison:?}");
    }
}

#[test]
fn what_only_one_report_has_and_what_differs_around_it_is_said() {
    let (before, mut after) = (report(1, 1.0, 0.02), report(1, 1.0, 0.02));
    after.runs[0].name = "other".to_owned();
    after.environment.processors = 64;
    let comparison = Comparison::of(&before, &after, 0.05);
    assert_eq!(comparison.unmatched, ["server embedder short 8 clients: only before", "other: only after"]);
    assert!(comparison.differences[0].starts_with("machine: "), "{:?}", comparison.differences);
}
