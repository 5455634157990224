//! `POST /v1/classify`: the messages of `wisp.v1` Classify as JSON, with images in base64.

use axum::extract::State;
use axum::http::request::Parts as Head;
use axum::response::{IntoResponse, Json, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wisp_engine::{
    CandidateLabel, ClassifyInput, ClassifyOptions, ClassifyRequest, ClassifyResponse, Engine, LabelScores, Lane,
};

use super::{Refusal, answer, read};
use crate::upload::{NotReceived, Upload};

/// What precedes base64 in a `data:` address.
const DATA_SCHEME: &str = "data:";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    deployment: Option<String>,
    #[serde(alias = "input")]
    inputs: Inputs,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    top_k: Option<u32>,
    #[serde(default)]
    multi_label: bool,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    priority: Priority,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an input or a list of them: a text, {\"text\": …} or {\"image\": \"base64\"}")]
enum Inputs {
    One(Input),
    Many(Vec<Input>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, {\"text\": …} or {\"image\": \"base64\"}")]
enum Input {
    Text(String),
    Named { text: String },
    Image { image: String },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a label, or {\"label\": …, \"description\": …}")]
enum Label {
    Name(String),
    Described {
        label: String,
        #[serde(default)]
        description: Option<String>,
    },
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    #[default]
    Interactive,
    Bulk,
}

#[derive(Serialize)]
struct Answer<'a> {
    classifications: Vec<Classification<'a>>,
    usage: Usage,
    timing: Timing,
    placement: Option<Placement>,
}

#[derive(Serialize)]
struct Classification<'a> {
    labels: Vec<Score<'a>>,
    tokens: u32,
}

#[derive(Serialize)]
struct Score<'a> {
    label: &'a str,
    score: f32,
    index: u32,
}

#[derive(Serialize)]
struct Usage {
    tokens: u64,
}

#[derive(Serialize)]
struct Timing {
    queue_ns: u128,
    tokenize_ns: u128,
    guest_ns: u128,
    gather_ns: u128,
    infer_ns: u128,
    total_ns: u128,
}

#[derive(Serialize)]
struct Placement {
    model: String,
    backend: String,
    device: String,
    precision: String,
}

#[derive(Serialize)]
struct Failure {
    error: FailureText,
}

#[derive(Serialize)]
struct FailureText {
    message: String,
}

pub(super) async fn classify(State(engine): State<Engine>, head: Head, body: Result<Upload, NotReceived>) -> Response {
    match answered(&engine, &head, body).await {
        Ok(response) => Json(Answer::of(&response)).into_response(),
        Err(refusal) => {
            let told = refusal.told();
            let body = Failure { error: FailureText { message: told.message.clone() } };
            told.with(body)
        }
    }
}

async fn answered(
    engine: &Engine,
    head: &Head,
    body: Result<Upload, NotReceived>,
) -> Result<ClassifyResponse, Refusal> {
    answer(engine, head, request(read(body)?)?).await
}

fn request(body: Body) -> Result<ClassifyRequest, Refusal> {
    let inputs = match body.inputs {
        Inputs::One(input) => vec![input],
        Inputs::Many(inputs) => inputs,
    };
    let inputs = inputs.into_iter().enumerate().map(input).collect::<Result<Vec<_>, _>>()?;
    let options = ClassifyOptions {
        candidates: body.labels.into_iter().map(candidate).collect(),
        template: body.template,
        is_multi_label: body.multi_label,
        top_k: body.top_k,
        truncate: body.truncate.unwrap_or(true),
    };
    let lane = match body.priority {
        Priority::Interactive => Lane::Interactive,
        Priority::Bulk => Lane::Bulk,
    };
    Ok(ClassifyRequest { deployment: body.deployment, options, lane, ..ClassifyRequest::inputs(inputs) })
}

fn input((index, input): (usize, Input)) -> Result<ClassifyInput, Refusal> {
    let base64 = match input {
        Input::Text(text) | Input::Named { text } => return Ok(ClassifyInput::Text(text)),
        Input::Image { image } => image,
    };
    let payload = match base64.strip_prefix(DATA_SCHEME) {
        Some(address) => address.split_once(',').map_or(address, |(_, payload)| payload),
        None => &base64,
    };
    let file = STANDARD.decode(payload);
    file.map(ClassifyInput::Image)
        .map_err(|error| Refusal::Malformed(format!("input {index}: the image is not base64: {error}")))
}

fn candidate(label: Label) -> CandidateLabel {
    match label {
        Label::Name(label) => CandidateLabel { label, description: None },
        Label::Described { label, description } => CandidateLabel { label, description },
    }
}

impl<'a> Answer<'a> {
    fn of(response: &'a ClassifyResponse) -> Self {
        let times = &response.times;
        Self {
            classifications: response.classifications.iter().map(Classification::of).collect(),
            usage: Usage { tokens: response.classifications.iter().map(|one| u64::from(one.tokens)).sum() },
            timing: Timing {
                queue_ns: times.queue.as_nanos(),
                tokenize_ns: times.tokenize.as_nanos(),
                guest_ns: times.guest.as_nanos(),
                gather_ns: times.gather.as_nanos(),
                infer_ns: times.infer.as_nanos(),
                total_ns: times.total.as_nanos(),
            },
            placement: response.placement.as_ref().map(|report| Placement {
                model: report.model.to_string(),
                backend: report.placement.backend.to_string(),
                device: report.placement.device.to_string(),
                precision: report.precision.to_string(),
            }),
        }
    }
}

impl<'a> Classification<'a> {
    fn of(scores: &'a LabelScores) -> Self {
        let score = |one: &'a wisp_engine::LabelScore| Score { label: &one.label, score: one.score, index: one.index };
        Self { labels: scores.labels.iter().map(score).collect(), tokens: scores.tokens }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn parsed(json: &str) -> Result<ClassifyRequest, String> {
        let body = read(Ok(Upload(Bytes::copy_from_slice(json.as_bytes()))));
        body.and_then(request).map_err(|refusal| refusal.told().message)
    }

    #[test]
    fn inputs_are_texts_and_images_one_or_many() {
        let text = |text: &str| ClassifyInput::Text(text.to_owned());
        let one = parsed(r#"{"inputs": "a"}"#).expect("a text");
        assert_eq!((one.inputs, one.options), (vec![text("a")], ClassifyOptions::default()));
        let many =
            parsed(r#"{"input": ["a", {"text": "b"}, {"image": "AQI="}, {"image": "data:image/png;base64,AQI="}]}"#);
        let image = || ClassifyInput::Image(vec![1, 2]);
        assert_eq!(many.expect("four").inputs, [text("a"), text("b"), image(), image()]);
    }

    #[test]
    fn labels_may_say_what_they_mean() {
        let request = parsed(
            r#"{"inputs": "a", "labels": ["x", {"label": "y", "description": "why"}], "template": "On {}.",
                "top_k": 1, "multi_label": true, "truncate": false, "priority": "bulk", "deployment": "d"}"#,
        );
        let request = request.expect("can be meant");
        let labels: Vec<_> =
            request.options.candidates.iter().map(|one| (&*one.label, one.description.as_deref())).collect();
        assert_eq!(labels, [("x", None), ("y", Some("why"))]);
        assert_eq!(
            (request.options.top_k, request.options.is_multi_label, request.options.truncate),
            (Some(1), true, false)
        );
        assert_eq!((request.deployment.as_deref(), request.lane), (Some("d"), Lane::Bulk));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        for (json, said) in [
            ("{", "the body cannot be read: EOF while parsing"),
            (r#"{"inputs": 5}"#, "the body cannot be read: expected an input or a list of them"),
            (r#"{"inputs": "a", "top-k": 1}"#, "the body cannot be read: unknown field `top-k`"),
            (r#"{"inputs": {"image": "?"}}"#, "input 0: the image is not base64"),
            (r#"{"inputs": "a", "top_k": -1}"#, "the body cannot be read: invalid value"),
        ] {
            let error = parsed(json).expect_err(said);
            assert!(error.starts_with(said), "{error}");
        }
    }
}
