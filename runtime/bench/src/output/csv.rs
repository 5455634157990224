//! A report as comma-separated values: one line a stream of a run, numbers as they are.

use super::push_line;
use crate::figures::{Latency, RunFigures, StreamFigures};
use crate::load::Load;
use crate::report::Report;

/// The columns, in order. New ones come last.
const COLUMNS: [&str; 36] = [
    "run",
    "target",
    "stream",
    "deployment",
    "mix",
    "clients",
    "rate",
    "request_texts",
    "measured_s",
    "requests",
    "requests_per_s",
    "texts_per_s",
    "tokens_per_s",
    "mean_us",
    "p50_us",
    "p75_us",
    "p90_us",
    "p95_us",
    "p99_us",
    "p999_us",
    "max_us",
    "queue_us",
    "tokenize_us",
    "guest_us",
    "gather_us",
    "infer_us",
    "mean_batch",
    "padding_ratio",
    "refused",
    "failed",
    "wrong",
    "min_cosine",
    "is_stable",
    "cpu_s_per_1000_texts",
    "peak_rss_bytes",
    "client_cpu_share",
];

/// The report, with a line of names first. Source of the form: RFC 4180.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    push_line(&mut text, format_args!("{}", COLUMNS.join(",")));
    for run in &report.runs {
        for stream in &run.streams {
            let cells: Vec<_> = cells(run, stream).iter().map(|cell| quoted(cell)).collect();
            push_line(&mut text, format_args!("{}", cells.join(",")));
        }
    }
    text
}

fn cells(run: &RunFigures, stream: &StreamFigures) -> [String; COLUMNS.len()] {
    let facts = &stream.facts;
    let (clients, rate) = match facts.load {
        Load::Clients(clients) => (clients.to_string(), String::new()),
        Load::Rate { per_second, .. } => (String::new(), per_second.to_string()),
    };
    let latency = |of: fn(&Latency) -> f64| optional(stream.latency.as_ref().map(of));
    let stages = stream.stages.as_ref();
    [
        run.name.clone(),
        run.target.clone(),
        facts.name.clone(),
        facts.deployment.clone(),
        facts.mix.clone(),
        clients,
        rate,
        facts.request_texts.to_string(),
        run.measured_s.to_string(),
        stream.requests.to_string(),
        stream.requests_per_s.to_string(),
        stream.texts_per_s.to_string(),
        stream.tokens_per_s.to_string(),
        latency(|latency| latency.mean_us),
        latency(|latency| latency.p50_us),
        latency(|latency| latency.p75_us),
        latency(|latency| latency.p90_us),
        latency(|latency| latency.p95_us),
        latency(|latency| latency.p99_us),
        latency(|latency| latency.p999_us),
        latency(|latency| latency.max_us),
        optional(stages.map(|stages| stages.queue_us)),
        optional(stages.map(|stages| stages.tokenize_us)),
        optional(stages.map(|stages| stages.guest_us)),
        optional(stages.map(|stages| stages.gather_us)),
        optional(stages.map(|stages| stages.infer_us)),
        optional(stream.mean_batch),
        optional(stream.padding_ratio),
        stream.refused.to_string(),
        stream.failed().to_string(),
        stream.wrong.to_string(),
        optional(stream.min_cosine),
        stream.stability.is_stable.to_string(),
        optional(run.usage.and_then(|usage| usage.cpu_s_per_1000_texts)),
        run.usage.map_or(String::new(), |usage| usage.peak_rss_bytes.to_string()),
        optional(run.client_cpu_share),
    ]
}

/// What is not told is empty.
fn optional(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        for (cell, expected) in [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\"")] {
            assert_eq!(quoted(cell), expected);
        }
    }
}
