//! `POST /predict`: a text or a list of texts to labels.
//!
//! There, a list of two texts at the top is a pair for models that judge pairs; a batch is a list of lists. Pairs are refused.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wisp_engine::{ClassifyRequest, ClassifyResponse, LabelScores, Method};

use super::options::{TruncationDirection, check_direction};
use crate::rest::Rest;
use crate::rest::body::Body;
use crate::rest::caller::Computes;
use crate::rest::dialect::Tei;
use crate::rest::openapi::schema;
use crate::rest::refusal::{Refusal, Refused};

/// What is to be classified.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::rest) struct PredictRequest {
    #[schema(value_type = schema::PredictInputs)]
    inputs: PredictInputs,
    /// Not to be had: scores are from 0 to 1.
    #[schema(value_type = Option<schema::Never>)]
    raw_scores: Option<bool>,
    /// Cut longer texts at the model's maximum; otherwise, which is the default, they are an error.
    truncate: Option<bool>,
    #[schema(value_type = Option<schema::TruncationDirection>)]
    truncation_direction: Option<TruncationDirection>,
    /// Name of the deployment; without it the only one that classifies, or `classifier`.
    #[schema(value_type = Option<schema::ClassifierName>)]
    model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected inputs that are a text, or a list of lists of one text each")]
enum PredictInputs {
    One(String),
    /// One input of several parts.
    Parts(Vec<String>),
    Batch(Vec<Vec<String>>),
}

/// The labels of one input, or of each input of a batch; the best first.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::rest) enum Predictions {
    One(Vec<Prediction>),
    Batch(Vec<Vec<Prediction>>),
}

#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Prediction {
    /// From 0 to 1.
    score: f32,
    label: String,
}

/// Answers with labels and scores.
pub(in crate::rest) async fn predict(
    State(rest): State<Rest>,
    Computes(caller): Computes<Tei>,
    Body { message, .. }: Body<PredictRequest, Tei>,
) -> Result<Json<Predictions>, Refused<Tei>> {
    let (request, is_batch) = request(message)?;
    let request = ClassifyRequest { tenant: Some(caller.tenant.clone()), ..request };
    let answered = rest.engine.classify(request).await.map_err(|error| caller.refuse(&rest, error))?;
    Ok(Json(Predictions::of(&answered, is_batch)))
}

/// The request, and whether it is a batch.
fn request(message: PredictRequest) -> Result<(ClassifyRequest, bool), Refusal> {
    check_direction(message.truncation_direction, "truncation_direction")?;
    if message.raw_scores == Some(true) {
        return Err(wrong("raw_scores", "raw_scores cannot be had; scores are from 0 to 1".to_owned()));
    }
    let (inputs, is_batch) = match message.inputs {
        PredictInputs::One(text) => (vec![vec![text]], false),
        PredictInputs::Parts(parts) => (vec![parts], false),
        PredictInputs::Batch(batch) => (batch, true),
    };
    let texts = inputs.into_iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut request = ClassifyRequest::texts(texts);
    request.deployment = message.model;
    // A text that is too long is an error there unless it may be cut.
    request.options.truncate = message.truncate.unwrap_or(false);
    request.method = Method::Tei;
    Ok((request, is_batch))
}

/// The only part of an input.
fn text((index, parts): (usize, Vec<String>)) -> Result<String, Refusal> {
    <[String; 1]>::try_from(parts).map(|[text]| text).map_err(|parts| {
        let count = parts.len();
        let message = format!(
            "input {index} has {count} parts, and pairs are not classified; for several texts write [[\"a\"], [\"b\"]]"
        );
        wrong("inputs", message)
    })
}

fn wrong(place: &str, message: String) -> Refusal {
    Refusal::Value { place: Some(place.to_owned()), message }
}

impl Predictions {
    fn of(response: &ClassifyResponse, is_batch: bool) -> Self {
        let prediction = |one: &wisp_engine::LabelScore| Prediction { score: one.score, label: one.label.to_string() };
        let predictions = |scores: &LabelScores| scores.labels.iter().map(prediction).collect();
        let mut batch: Vec<_> = response.classifications.iter().map(predictions).collect();
        match batch.pop() {
            Some(only) if !is_batch => Self::One(only),
            last => {
                batch.extend(last);
                Self::Batch(batch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wisp_engine::ClassifyInput;

    use super::*;
    use crate::rest::body;

    fn parsed(json: &str) -> Result<(Vec<ClassifyInput>, bool), String> {
        let parsed = body::parse(json.as_bytes()).and_then(request);
        parsed.map(|(request, is_batch)| (request.inputs, is_batch)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn texts_come_alone_or_as_lists_of_one() {
        let text = |text: &str| ClassifyInput::Text(text.to_owned());
        assert_eq!(parsed(r#"{"inputs": "a"}"#), Ok((vec![text("a")], false)));
        assert_eq!(parsed(r#"{"inputs": ["a"]}"#), Ok((vec![text("a")], false)));
        assert_eq!(parsed(r#"{"inputs": [["a"], ["b"]], "truncate": true}"#), Ok((vec![text("a"), text("b")], true)));
    }

    #[test]
    fn pairs_and_raw_scores_are_refused() {
        let pair = "input 0 has 2 parts, and pairs are not classified; for several texts write [[\"a\"], [\"b\"]]";
        assert_eq!(parsed(r#"{"inputs": ["a", "b"]}"#), Err(pair.to_owned()));
        assert!(parsed(r#"{"inputs": [["a"], ["b", "c"]]}"#).expect_err("a pair").starts_with("input 1 has 2 parts"));
        assert!(
            parsed(r#"{"inputs": "a", "raw_scores": true}"#).expect_err("raw").starts_with("raw_scores cannot be had")
        );
        assert!(parsed(r#"{"inputs": 5}"#).expect_err("a number").contains("expected inputs that are a text"));
    }
}
