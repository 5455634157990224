//! The answer, as a person wants to read it.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use tonic::{Code, Status};
use wisp_proto::v1::{EmbedResponse, Placement, Timing};

use crate::neighbours::nearest;

/// A table of texts with their neighbours, the times of the stages, and what ran where.
pub(crate) fn render(texts: &[String], response: &EmbedResponse, round_trip: Duration) -> String {
    let vectors: Vec<&[f32]> = response.embeddings.iter().map(|embedding| embedding.values.as_slice()).collect();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["text", "nearest neighbour", "cosine"]);
    for (text, neighbour) in texts.iter().zip(nearest(&vectors)) {
        match neighbour {
            Some(found) => table.add_row([text.clone(), texts[found.index].clone(), format!("{:.3}", found.cosine)]),
            None => table.add_row([text.as_str(), "–", "–"]),
        };
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }

    let mut report = format!("{table}\n\n");
    let dimensions = vectors.first().map_or(0, |vector| vector.len());
    let tokens = response.usage.map_or(0, |usage| usage.tokens);
    let vectors = if vectors.len() == 1 { "1 vector".to_owned() } else { format!("{} vectors", vectors.len()) };
    // Writing to a String cannot fail.
    let _ = writeln!(report, "  result   {vectors} of {dimensions} dimensions, {tokens} tokens");
    if let Some(placement) = &response.placement {
        let _ = writeln!(report, "  ran on   {}", describe_placement(placement));
    }
    if let Some(timing) = &response.timing {
        let _ = writeln!(report, "  time     {}", describe_timing(timing, round_trip));
    }
    report
}

/// A status as an error: the code by its gRPC name and the server's message.
pub(crate) fn status_error(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", code_name(status.code()), status.message())
}

fn describe_placement(placement: &Placement) -> String {
    let Placement { model, backend, device, precision } = placement;
    format!("{model} by {backend} on {device} in {precision}")
}

fn describe_timing(timing: &Timing, round_trip: Duration) -> String {
    let stages = [
        ("queue", timing.queue_ns),
        ("tokenize", timing.tokenize_ns),
        ("guest", timing.guest_ns),
        ("gather", timing.gather_ns),
        ("infer", timing.infer_ns),
    ];
    let stages = stages.map(|(name, ns)| format!("{name} {}", readable_time(ns)));
    let round_trip_ns = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
    format!(
        "{} · total {} · with the network {}",
        stages.join(" · "),
        readable_time(timing.total_ns),
        readable_time(round_trip_ns)
    )
}

/// Nanoseconds in the unit that fits: `840 ns`, `12 µs`, `7.42 ms`, `1.20 s`.
fn readable_time(ns: u64) -> String {
    let of = |unit_ns: u64| format!("{}.{:02}", ns / unit_ns, ns % unit_ns * 100 / unit_ns);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", of(1_000_000)),
        _ => format!("{} s", of(1_000_000_000)),
    }
}

/// The name that gRPC's specification and every other language use: `NOT_FOUND`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use wisp_proto::v1::{Embedding, Usage};

    use super::*;

    fn response() -> EmbedResponse {
        let vector = |values: &[f32]| Embedding { values: values.to_vec(), tokens: 4, ..Embedding::default() };
        EmbedResponse {
            embeddings: vec![vector(&[1.0, 0.0]), vector(&[0.0, 1.0]), vector(&[0.8, 0.6])],
            usage: Some(Usage { tokens: 12 }),
            timing: Some(Timing { infer_ns: 7_420_000, total_ns: 8_000_000, ..Timing::default() }),
            placement: Some(Placement {
                model: "minilm".into(),
                backend: "ort".into(),
                device: "cpu".into(),
                precision: "f32".into(),
            }),
            ..EmbedResponse::default()
        }
    }

    #[test]
    fn shows_each_text_beside_its_neighbour_with_times_and_placement() {
        let texts = ["east", "north", "north-east"].map(str::to_owned);
        let report = render(&texts, &response(), Duration::from_millis(9));
        let row = report.lines().find(|line| line.contains("│ east")).expect("the table has the text");
        assert!(row.contains("north-east") && row.contains("0.800"), "{row}");
        for shown in ["3 vectors of 2 dimensions, 12 tokens", "minilm by ort on cpu in f32", "infer 7.42 ms"] {
            assert!(report.contains(shown), "{shown} is not in:\n{report}");
        }
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let shown = [840, 12_345, 7_420_000, 1_204_000_000].map(readable_time);
        assert_eq!(shown, ["840 ns", "12 µs", "7.42 ms", "1.20 s"]);
    }

    #[test]
    fn codes_have_the_names_of_the_specification() {
        assert_eq!(code_name(Code::NotFound), "NOT_FOUND");
        assert_eq!(code_name(Code::Internal), "INTERNAL");
        let error = status_error(&Status::resource_exhausted("the queue is full"));
        assert_eq!(error.to_string(), "RESOURCE_EXHAUSTED: the queue is full");
    }
}
