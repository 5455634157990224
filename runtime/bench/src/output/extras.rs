//! Tables of what is measured beside load: shapes, starts, searches, and what guest and protocol cost.

use super::sheets::Sheet;
use super::{megabytes, milliseconds, number, optional};
use crate::figures::{RunFigures, StreamFigures};
use crate::report::Report;

/// What the guest and the protocol add to the median latency, where the same load met several targets.
#[must_use]
pub fn taxes(report: &Report) -> Sheet {
    let mut sheet = Sheet::new(&[
        "what each layer costs",
        "backend p50 ms",
        "engine p50 ms",
        "server p50 ms",
        "Wasm tax µs",
        "gRPC tax µs",
    ]);
    for tax in find_taxes(report) {
        let difference = |above: Option<f64>, below: Option<f64>| {
            optional(above.zip(below).map(|(above, below)| above - below), |tax| format!("{tax:.0}"))
        };
        sheet.rows.push(vec![
            tax.name,
            optional(tax.backend_us, milliseconds),
            optional(tax.engine_us, milliseconds),
            optional(tax.server_us, milliseconds),
            difference(tax.engine_us, tax.backend_us),
            difference(tax.server_us, tax.engine_us),
        ]);
    }
    sheet
}

/// How long the server took to refuse, by how far the requests came. Times are upper ends of its buckets.
#[must_use]
pub fn refusals(report: &Report) -> Sheet {
    let mut sheet = Sheet::new(&["refused by the server", "stage", "refused", "p50 ms", "p99 ms"]);
    let within = |end_us: Option<f64>| end_us.map_or("beyond".to_owned(), |us| format!("≤ {}", milliseconds(us)));
    for run in &report.runs {
        sheet.rows.extend(run.refusals.iter().map(|refused| {
            let (p50, p99) = (within(refused.p50_us), within(refused.p99_us));
            vec![run.name.clone(), refused.stage.clone(), refused.count.to_string(), p50, p99]
        }));
    }
    sheet
}

/// Medians of one load by target.
#[derive(Clone, Debug, PartialEq)]
struct Tax {
    name: String,
    backend_us: Option<f64>,
    engine_us: Option<f64>,
    server_us: Option<f64>,
}

fn find_taxes(report: &Report) -> Vec<Tax> {
    let mut taxes: Vec<(String, Tax)> = Vec::new();
    let only = |run: &'_ RunFigures| run.streams.len() == 1;
    for run in report.runs.iter().filter(|run| only(run)) {
        let stream = &run.streams[0];
        let (key, p50) = (key(run, stream), stream.latency.map(|latency| latency.p50_us));
        let index = taxes.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            let tax = Tax { name: key.clone(), backend_us: None, engine_us: None, server_us: None };
            taxes.push((key, tax));
            taxes.len() - 1
        });
        let tax = &mut taxes[index].1;
        match run.target.as_str() {
            "backend" => tax.backend_us = p50,
            "engine" => tax.engine_us = p50,
            _ => tax.server_us = p50,
        }
    }
    let told = |tax: &Tax| [tax.backend_us, tax.engine_us, tax.server_us].iter().flatten().count() > 1;
    taxes.into_iter().map(|(_, tax)| tax).filter(told).collect()
}

fn key(run: &RunFigures, stream: &StreamFigures) -> String {
    let facts = &stream.facts;
    let variant = run.variant.as_ref().map_or(String::new(), |variant| format!("{variant}: "));
    let texts = if facts.request_texts == 1 { String::new() } else { format!(" × {} texts", facts.request_texts) };
    format!("{variant}{} {} {}{texts}", facts.deployment, facts.mix, facts.load)
}

/// Rows a second of every shape, one row a variant.
#[must_use]
pub fn shapes(report: &Report) -> Sheet {
    let mut shapes: Vec<_> = report.shapes.iter().map(|figures| figures.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    let mut header = vec!["texts/s without a guest, rows × tokens".to_owned()];
    header.extend(shapes.iter().map(ToString::to_string));
    let mut computed: Vec<&str> = Vec::new();
    for figures in &report.shapes {
        if !computed.contains(&figures.computed_by.as_str()) {
            computed.push(&figures.computed_by);
        }
    }
    let row = |name: &str| {
        let cell = |shape| {
            let found = report.shapes.iter().find(|figures| figures.computed_by == name && figures.shape == shape);
            optional(found.map(|figures| figures.rows_per_s), number)
        };
        std::iter::once(name.to_owned()).chain(shapes.iter().map(|&shape| cell(shape))).collect()
    };
    Sheet { header, rows: computed.into_iter().map(row).collect() }
}

/// What starts take.
#[must_use]
pub fn cold(report: &Report) -> Vec<Sheet> {
    let mut starts = Sheet::new(&[
        "start to the first answer over gRPC",
        "cold ms",
        "warm ms",
        "of that until it listens",
        "resident",
        "peak",
    ]);
    let mut parts = Sheet::new(&[
        "parts of a start",
        "compile guest ms",
        "read machine code ms",
        "first instance µs",
        "instance p50 µs",
        "engine ms",
        "first embedding ms",
        "second ms",
    ]);
    for figures in &report.cold {
        let name = figures.variant.clone().unwrap_or_else(|| "as configured".to_owned());
        starts.rows.push(vec![
            name.clone(),
            format!("{:.0}", figures.cold_ms),
            format!("{:.0}", figures.warm_ms),
            format!("{:.0}", figures.warm_listening_ms),
            megabytes(figures.resident_bytes),
            megabytes(figures.peak_bytes),
        ]);
        let part = &figures.parts;
        parts.rows.push(vec![
            name,
            number(part.compile_ms),
            number(part.aot_ms),
            number(part.first_instance_us),
            number(part.instance_us),
            number(part.engine_ms),
            number(part.first_embed_ms),
            number(part.second_embed_ms),
        ]);
    }
    vec![starts, parts]
}

/// What searches found.
#[must_use]
pub fn searches(report: &Report) -> Sheet {
    let mut sheet = Sheet::new(&["highest rate that keeps the objective", "objective", "requests/s", "best goodput/s"]);
    for search in &report.searches {
        let variant = search.variant.as_ref().map_or(String::new(), |variant| format!("{variant}: "));
        sheet.rows.push(vec![
            format!("{variant}{}", search.name),
            search.slo.to_string(),
            search.best_per_s.map_or("none".to_owned(), number),
            number(search.goodput_per_s),
        ]);
    }
    sheet
}
