use super::*;
use crate::answer::Lane;
use crate::environment::Environment;
use crate::figures::{RunFigures, StageFigures, StreamFacts, StreamFigures};
use crate::load::Load;
use crate::record::{Recorder, Times};
use crate::report::MethodFacts;
use crate::shapes::{Shape, ShapeFigures};
use crate::span::Span;

fn run(clients: usize, name: &str) -> RunFigures {
    let span = Span { start: std::time::Instant::now(), duration: std::time::Duration::from_secs(3), windows: 3 };
    let mut recorder = Recorder::new(span);
    for request in 0..100_u64 {
        let intended = span.start + std::time::Duration::from_millis(request * 20);
        let finished = intended + std::time::Duration::from_micros(1000 * clients as u64 + request * 7);
        let times = Times { intended, sent: intended, finished, is_counted: true };
        recorder.answer(times, 1, &crate::answer::Answer::default(), None);
    }
    let facts = StreamFacts {
        name: "all".to_owned(),
        deployment: name.to_owned(),
        mix: "short".to_owned(),
        load: Load::Clients(clients),
        request_texts: 1,
        lane: Lane::default(),
    };
    let stages = StageFigures {
        queue_us: 10.0,
        tokenize_us: 5.0,
        guest_us: 100.0,
        gather_us: 0.0,
        infer_us: 900.0,
        other_us: 3.0,
        outside_us: 200.0,
    };
    let stream = StreamFigures { stages: Some(stages), ..StreamFigures::of(facts, &recorder, None) };
    RunFigures {
        name: format!("server {name} short {clients} clients"),
        variant: None,
        target: "server".to_owned(),
        measured_s: 3.0,
        client_cpu_share: None,
        others_cpu_share: None,
        yardstick_us: None,
        usage: None,
        refusals: Vec::new(),
        ended_early: None,
        streams: vec![stream],
    }
}

fn report(name: &str) -> Report {
    let method = MethodFacts {
        warm_up_s: 0.0,
        duration_s: 3.0,
        pool_texts: 8,
        seed: 1,
        is_checked: true,
        client_threads: 1,
        slo: None,
    };
    let shape = ShapeFigures {
        computed_by: "m on ort:cpu, f32".to_owned(),
        variant: None,
        shape: Shape { rows: 8, tokens: 16 },
        runs: 9,
        median_ms: 3.0,
        least_ms: 2.9,
        rows_per_s: 2666.0,
        tokens_per_s: 42_666.0,
    };
    Report { runs: vec![run(1, name), run(8, name)], shapes: vec![shape], ..Report::new(Environment::detect(), method) }
}

#[test]
fn a_page_has_every_plot_and_needs_nothing_else() {
    let page = render(&report("embedder"));
    for heading in
        ["Latency versus load", "Where the time goes", "Distribution of latency", "Shapes of batches", "Figures"]
    {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    for outside in ["http://", "https://", "<script", "<link", "url("] {
        assert!(!page.contains(outside), "the page reaches for {outside}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(!page.contains("NaN") && !page.contains("inf\""), "every coordinate is a number");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn names_cannot_write_markup() {
    let page = render(&report("<img src=x>"));
    assert!(!page.contains("<img"), "{}", &page[..400]);
}

#[test]
fn a_report_of_nothing_is_a_page_as_well() {
    let mut report = report("embedder");
    (report.runs, report.shapes) = (Vec::new(), Vec::new());
    assert!(render(&report).ends_with("</html>\n"));
}
