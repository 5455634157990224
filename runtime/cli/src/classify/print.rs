//! Labels and scores, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use super::Classifications;
use super::input::Input;
use crate::{output, table};

/// Characters of an input that a table shows.
const SHOWN_CHARS: usize = 60;

pub(super) fn table(classifications: &Classifications) -> anyhow::Result<()> {
    let mut rows = table::with_header(&["input", "label", "score"]);
    for (input, scores) in classifications.inputs.iter().zip(&classifications.scores) {
        let mut name = table::shorten(&input.name(), SHOWN_CHARS);
        if scores.labels.is_empty() {
            rows.add_row([std::mem::take(&mut name), "–".to_owned(), "–".to_owned()]);
        }
        for one in &scores.labels {
            let label = if one.label.is_empty() { format!("class {}", one.index) } else { one.label.clone() };
            rows.add_row([std::mem::take(&mut name), label, format!("{:.3}", one.score)]);
        }
    }
    output::line(rows)?;
    let placement = classifications.placement.as_ref().map_or("no model".to_owned(), |report| {
        format!("{} on {}, {}", report.model, report.placement, report.precision)
    });
    output::line(placement)?;
    let stage = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let times = &classifications.times;
    output::line(format_args!(
        "milliseconds: tokenize {}, guest {}, queue {}, infer {}, total {}",
        stage(times.tokenize),
        stage(times.guest),
        stage(times.queue),
        stage(times.infer),
        stage(times.total)
    ))?;
    Ok(())
}

#[derive(Serialize)]
struct Json<'a> {
    model: Option<&'a str>,
    backend: Option<String>,
    device: Option<String>,
    precision: Option<String>,
    classifications: Vec<JsonClassification<'a>>,
}

#[derive(Serialize)]
struct JsonClassification<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    tokens: u32,
    labels: Vec<JsonLabel<'a>>,
}

#[derive(Serialize)]
struct JsonLabel<'a> {
    label: &'a str,
    score: f32,
    index: u32,
}

pub(super) fn json(classifications: &Classifications) -> anyhow::Result<()> {
    let placement = classifications.placement.as_ref();
    let rows = classifications.inputs.iter().zip(&classifications.scores).map(|(input, scores)| {
        let (text, image) = match input {
            Input::Text(text) => (Some(text.as_str()), None),
            Input::Image(path) => (None, Some(path.display().to_string())),
        };
        let labels = scores.labels.iter();
        let labels = labels.map(|one| JsonLabel { label: &one.label, score: one.score, index: one.index }).collect();
        JsonClassification { text, image, tokens: scores.tokens, labels }
    });
    let json = Json {
        model: placement.map(|report| &*report.model),
        backend: placement.map(|report| report.placement.backend.to_string()),
        device: placement.map(|report| report.placement.device.to_string()),
        precision: placement.map(|report| report.precision.to_string()),
        classifications: rows.collect(),
    };
    output::line(serde_json::to_string(&json)?)?;
    Ok(())
}
