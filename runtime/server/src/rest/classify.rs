//! `POST /v1/classify`: the messages of `wisp.v1` Classify as JSON, with images in base64.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_engine::{
    CandidateLabel, ClassifyInput, ClassifyOptions, ClassifyRequest, ClassifyResponse, LabelScores, Lane, Method,
};
use wisp_proto::v1;

use super::Rest;
use super::body::Body;
use super::caller::Computes;
use super::dialect::Native;
use super::inputs::whole;
use super::openapi::schema;
use super::refusal::{Refusal, Refused};
use crate::embed::answer;

/// What precedes base64 in a `data:` address.
const DATA_SCHEME: &str = "data:";

/// What is to be classified.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassificationRequest {
    /// Name of the deployment; without it the only one that classifies, or `classifier`.
    #[schema(value_type = Option<schema::ClassifierName>)]
    deployment: Option<String>,
    #[serde(alias = "input")]
    #[schema(value_type = schema::ClassificationInputs)]
    inputs: Inputs,
    /// Labels to choose from; without them the deployment's own.
    #[schema(value_type = Option<schema::Labels>)]
    labels: Option<Vec<Label>>,
    /// A sentence with one `{}`, where the label is put; `This is about {}.` by default.
    #[schema(value_type = Option<schema::Template>)]
    template: Option<String>,
    /// Answer at most so many labels an input, the best; without it all.
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = Option<schema::AtLeastOne>)]
    top_k: Option<u32>,
    /// Score each label by itself; otherwise, which is the default, all labels share 1.
    multi_label: Option<bool>,
    /// Cut longer texts at the model's maximum, which is the default; otherwise they are an error.
    truncate: Option<bool>,
    priority: Option<Priority>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected an input or a list of them: a text, {\"text\": …} or {\"image\": \"base64\"}")]
enum Inputs {
    One(Input),
    Many(Vec<Input>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, {\"text\": …} or {\"image\": \"base64\"}")]
enum Input {
    Text(String),
    Part(Part),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Text(String),
    Image(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a label, or {\"label\": …, \"description\": …}")]
enum Label {
    Name(String),
    Described(Described),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    label: String,
    description: Option<String>,
}

/// Whether somebody waits for the answer, which is the default, or it is bulk work.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Priority {
    #[default]
    Interactive,
    Bulk,
}

/// One classification an input, in the order of the inputs.
#[derive(Serialize, ToSchema)]
pub(super) struct ClassificationResponse<'a> {
    classifications: Vec<Classification<'a>>,
    usage: ClassificationUsage,
    timing: Timing,
    /// What ran.
    placement: Option<Placement>,
}

#[derive(Serialize, ToSchema)]
struct Classification<'a> {
    /// The best first.
    labels: Vec<Score<'a>>,
    /// Tokens of the text; 0 of an image.
    tokens: u32,
}

#[derive(Serialize, ToSchema)]
struct Score<'a> {
    label: &'a str,
    /// From 0 to 1.
    score: f32,
    /// Which of the labels to choose from, or of the model's.
    index: u32,
}

#[derive(Serialize, ToSchema)]
struct ClassificationUsage {
    /// Tokens of all texts.
    tokens: u64,
}

/// Where the time went, in nanoseconds.
#[derive(Serialize, ToSchema)]
struct Timing {
    queue_ns: u64,
    tokenize_ns: u64,
    guest_ns: u64,
    gather_ns: u64,
    infer_ns: u64,
    total_ns: u64,
}

#[derive(Serialize, ToSchema)]
struct Placement {
    model: String,
    backend: String,
    device: String,
    precision: String,
}

/// Answers with labels and scores.
pub(super) async fn classify(
    State(rest): State<Rest>,
    Computes(caller): Computes<Native>,
    Body { message, .. }: Body<ClassificationRequest, Native>,
) -> Result<Response, Refused<Native>> {
    let request = ClassifyRequest { tenant: Some(caller.tenant.clone()), ..request(message)? };
    let answered = rest.engine.classify(request).await.map_err(|error| caller.refuse(&rest, error))?;
    Ok(Json(ClassificationResponse::of(&answered)).into_response())
}

fn request(message: ClassificationRequest) -> Result<ClassifyRequest, Refusal> {
    let inputs = match message.inputs {
        Inputs::One(input) => vec![input],
        Inputs::Many(inputs) => inputs,
    };
    let inputs = inputs.into_iter().enumerate().map(input).collect::<Result<Vec<_>, _>>()?;
    let options = ClassifyOptions {
        candidates: message.labels.unwrap_or_default().into_iter().map(candidate).collect(),
        template: message.template,
        is_multi_label: message.multi_label.unwrap_or(false),
        top_k: message.top_k,
        truncate: message.truncate.unwrap_or(true),
    };
    let lane = match message.priority.unwrap_or_default() {
        Priority::Interactive => Lane::Interactive,
        Priority::Bulk => Lane::Bulk,
    };
    let method = Method::Classify;
    Ok(ClassifyRequest { deployment: message.deployment, options, lane, method, ..ClassifyRequest::inputs(inputs) })
}

fn input((index, input): (usize, Input)) -> Result<ClassifyInput, Refusal> {
    let base64 = match input {
        Input::Text(text) | Input::Part(Part::Text(text)) => return Ok(ClassifyInput::Text(text)),
        Input::Part(Part::Image(image)) => image,
    };
    let payload = match base64.strip_prefix(DATA_SCHEME) {
        Some(address) => address.split_once(',').map_or(address, |(_, payload)| payload),
        None => &base64,
    };
    BASE64.decode(payload).map(ClassifyInput::Image).map_err(|error| Refusal::Value {
        place: Some(format!("inputs[{index}].image")),
        message: format!("input {index}: the image is not base64: {error}"),
    })
}

fn candidate(label: Label) -> CandidateLabel {
    match label {
        Label::Name(label) => CandidateLabel { label, description: None },
        Label::Described(Described { label, description }) => CandidateLabel { label, description },
    }
}

impl<'a> ClassificationResponse<'a> {
    fn of(response: &'a ClassifyResponse) -> Self {
        Self {
            classifications: response.classifications.iter().map(Classification::of).collect(),
            usage: ClassificationUsage {
                tokens: response.classifications.iter().map(|one| u64::from(one.tokens)).sum(),
            },
            timing: answer::timing(&response.times).into(),
            placement: response.placement.as_ref().map(|report| answer::placement(report).into()),
        }
    }
}

/// As `wisp.v1` says it.
impl From<v1::Timing> for Timing {
    fn from(message: v1::Timing) -> Self {
        let v1::Timing { queue_ns, tokenize_ns, guest_ns, gather_ns, infer_ns, total_ns } = message;
        Self { queue_ns, tokenize_ns, guest_ns, gather_ns, infer_ns, total_ns }
    }
}

/// As `wisp.v1` says it.
impl From<v1::Placement> for Placement {
    fn from(message: v1::Placement) -> Self {
        let v1::Placement { model, backend, device, precision } = message;
        Self { model, backend, device, precision }
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
    use super::super::body;
    use super::*;

    fn parsed(json: &str) -> Result<ClassifyRequest, String> {
        body::parse(json.as_bytes()).and_then(request).map_err(|refusal| refusal.to_string())
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
            ("{", "the body is not JSON: EOF while parsing"),
            (r#"{"inputs": 5}"#, "inputs: expected an input or a list of them"),
            (r#"{"inputs": {"text": "a", "image": "AQI="}}"#, "inputs: expected an input or a list of them"),
            (r#"{"inputs": "a", "top-k": 1}"#, "top-k: unknown field `top-k`"),
            (r#"{"inputs": {"image": "?"}}"#, "input 0: the image is not base64"),
            (r#"{"inputs": "a", "top_k": -1}"#, "top_k: invalid value"),
            (r#"{"inputs": "a", "labels": [{"label": "x", "mean": 1}]}"#, "labels[0]: expected a label"),
        ] {
            let error = parsed(json).expect_err(said);
            assert!(error.starts_with(said), "{error}");
        }
    }
}
