//! A report as tables of text, whatever draws them.

use super::extras;
use super::{megabytes, milliseconds, number, optional, percent};
use crate::figures::{RunFigures, StreamFigures};
use crate::report::Report;

/// The load, for each processor, from which on a machine is not quiet.
const BUSY_SHARE: f64 = 0.25;

/// A table: the first column names the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Names of the columns; the first says what the table is about.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A table without rows.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }
}

/// What stands before the tables.
#[must_use]
pub fn preface(report: &Report) -> Vec<String> {
    let environment = &report.environment;
    let mut lines = vec![environment.machine()];
    let libraries = environment.libraries.iter().map(|(backend, version)| format!("{backend} {version}"));
    let libraries: Vec<_> = libraries.collect();
    let with = if libraries.is_empty() { String::new() } else { format!(", {}", libraries.join(", ")) };
    lines.push(format!("wisp {}{with}, {}", environment.wisp, environment.date));
    if let Some(load) = environment.load_average.filter(|&load| load > environment.processors as f64 * BUSY_SHARE) {
        lines.push(format!("something else was running: a load of {load} before anything was measured"));
    }
    if environment.is_debug_build {
        lines.push("this is a debug build: its figures are no measure of a release".to_owned());
    }
    if !report.method.is_checked {
        lines.push("vectors were not checked (--no-check)".to_owned());
    }
    if let Some(start_ms) = report.server_start_ms {
        lines.push(format!("`wisp serve` served {start_ms:.0} ms after its start"));
    }
    lines
}

/// Every table of the report that has a row.
#[must_use]
pub fn sheets(report: &Report) -> Vec<Sheet> {
    let mut all = vec![
        load(report),
        latency(report),
        stages(report),
        extras::taxes(report),
        cost(report),
        extras::refusals(report),
    ];
    all.extend([extras::searches(report), extras::shapes(report)]);
    all.extend(extras::cold(report));
    all.into_iter().filter(|sheet| !sheet.rows.is_empty()).collect()
}

/// Rows of a table: every stream of every run.
pub(crate) fn rows(report: &Report) -> impl Iterator<Item = (String, &RunFigures, &StreamFigures)> {
    report.runs.iter().flat_map(|run| {
        run.streams.iter().map(move |stream| {
            let facts = &stream.facts;
            let name = if run.streams.len() == 1 {
                run.name.clone()
            } else {
                format!("{} {}: {} {} {}", run.target, facts.name, facts.deployment, facts.mix, facts.load)
            };
            (name, run, stream)
        })
    })
}

/// Throughput, and what went wrong.
fn load(report: &Report) -> Sheet {
    let mut table = Sheet::new(&[
        "throughput",
        "requests/s",
        "texts/s",
        "tokens/s",
        "mean batch",
        "padding",
        "refused",
        "failed",
        "wrong",
        "stable",
    ]);
    let slo = report.method.slo;
    table.header.extend(slo.map(|slo| format!("goodput/s, {slo}")));
    for (name, _, stream) in rows(report) {
        table.push([
            name,
            number(stream.requests_per_s),
            number(stream.texts_per_s),
            number(stream.tokens_per_s),
            optional(stream.mean_batch, number),
            optional(stream.padding_ratio, percent),
            stream.refused.to_string(),
            stream.failed().to_string(),
            if report.method.is_checked { stream.wrong.to_string() } else { "not checked".to_owned() },
            if stream.stability.is_stable { "yes".to_owned() } else { unstable(stream) },
        ]);
        let goodput = optional(stream.goodput_per_s, number);
        table.rows.iter_mut().last().into_iter().for_each(|row| row.extend(slo.map(|_| goodput.clone())));
    }
    table
}

fn unstable(stream: &StreamFigures) -> String {
    let stability = &stream.stability;
    let worst = stability.throughput_deviation.max(stability.p50_deviation);
    format!("unstable, ±{:.0} %", worst * 100.0)
}

fn latency(report: &Report) -> Sheet {
    let mut table = Sheet::new(&["latency in ms", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"]);
    for (name, _, stream) in rows(report) {
        let Some(latency) = stream.latency else {
            let nothing = ["no answer", "", "", "", "", "", ""].map(str::to_owned);
            table.push([name].into_iter().chain(nothing));
            continue;
        };
        table.push([
            name,
            milliseconds(latency.p50_us),
            milliseconds(latency.p75_us),
            milliseconds(latency.p90_us),
            milliseconds(latency.p95_us),
            milliseconds(latency.p99_us),
            milliseconds(latency.p999_us),
            milliseconds(latency.max_us),
        ]);
    }
    table
}

fn stages(report: &Report) -> Sheet {
    let mut table =
        Sheet::new(&["mean time in ms", "queue", "tokenize", "guest", "gather", "infer", "other", "outside"]);
    for (name, _, stream) in rows(report) {
        let mut cells = vec![name];
        match &stream.stages {
            Some(stages) => cells.extend(stages.named().map(|(_, stage)| format!("{:.3}", stage / 1e3))),
            None => cells.extend(["—"; 7].map(str::to_owned)),
        }
        table.push(cells);
    }
    table
}

/// What it cost, and what ran.
fn cost(report: &Report) -> Sheet {
    let mut table = Sheet::new(&[
        "cost",
        "CPU s for 1,000 texts",
        "peak memory",
        "client CPU",
        "others' CPU",
        "min. cosine",
        "computed by",
    ]);
    for (name, run, stream) in rows(report) {
        table.push([
            name,
            optional(run.usage.and_then(|usage| usage.cpu_s_per_1000_texts), number),
            run.usage.map_or("—".to_owned(), |usage| megabytes(usage.peak_rss_bytes)),
            optional(run.client_cpu_share, percent),
            optional(run.others_cpu_share, percent),
            optional(stream.min_cosine, |cosine| format!("{cosine:.6}")),
            if stream.placements.is_empty() { "—".to_owned() } else { stream.placements.join("; ") },
        ]);
    }
    table
}

/// What a reader must not overlook.
#[must_use]
pub fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    for (name, _, stream) in rows(report) {
        for (code, failure) in &stream.failures {
            remarks.push(format!("{name}: {} times {code}: {}", failure.count, failure.example));
        }
        if stream.unsent > 0 {
            remarks.push(format!("{name}: {} requests were never sent; too many were on their way", stream.unsent));
        }
        if let Some(example) = &stream.wrong_example {
            remarks.push(format!("{name}: {} answers are wrong; one of them: {example}", stream.wrong));
        }
    }
    for skipped in &report.skipped {
        remarks.push(format!("{} was not measured: {}", skipped.variant, skipped.reason));
    }
    if let Some(reason) = &report.ended_early {
        remarks.push(format!("not whole: {}", reason.lines().next().unwrap_or_default()));
    }
    remarks
}
