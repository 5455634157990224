//! `POST /predict`, in the form of text-embeddings-inference: a text or a list of texts to the labels of the only deployment that
//! classifies, or of `classifier`.
//!
//! There, a list of two texts at the top is a pair for models that judge pairs; a batch is a list of lists. Pairs are refused.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts as Head;
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use wisp_engine::{ClassifyRequest, ClassifyResponse, Engine, LabelScores, Method};

use super::{Refusal, Told, answer, read};
use crate::upload::{NotReceived, Upload};

#[derive(Deserialize)]
struct Body {
    inputs: Inputs,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    truncate: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected inputs that are a text, or a list of lists of one text each")]
enum Inputs {
    One(String),
    /// One input of several parts.
    Parts(Vec<String>),
    Batch(Vec<Vec<String>>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    One(Vec<Prediction<'a>>),
    Batch(Vec<Vec<Prediction<'a>>>),
}

#[derive(Serialize)]
struct Prediction<'a> {
    score: f32,
    label: &'a str,
}

#[derive(Serialize)]
struct Failure {
    error: String,
    error_type: &'static str,
}

pub(super) async fn predict(State(engine): State<Engine>, head: Head, body: Result<Upload, NotReceived>) -> Response {
    match answered(&engine, &head, body).await {
        Ok((response, is_batch)) => Json(Answer::of(&response, is_batch)).into_response(),
        Err(refusal) => failure(refusal.told()),
    }
}

/// The answer, and whether it is to a batch.
async fn answered(
    engine: &Engine,
    head: &Head,
    body: Result<Upload, NotReceived>,
) -> Result<(ClassifyResponse, bool), Refusal> {
    let (request, is_batch) = request(read(body)?)?;
    Ok((answer(engine, head, request).await?, is_batch))
}

/// The request, and whether it is a batch.
fn request(body: Body) -> Result<(ClassifyRequest, bool), Refusal> {
    if body.raw_scores {
        return Err(Refusal::Malformed("raw_scores cannot be had; scores are from 0 to 1".to_owned()));
    }
    let (inputs, is_batch) = match body.inputs {
        Inputs::One(text) => (vec![vec![text]], false),
        Inputs::Parts(parts) => (vec![parts], false),
        Inputs::Batch(batch) => (batch, true),
    };
    let text = |(index, parts): (usize, Vec<String>)| match <[String; 1]>::try_from(parts) {
        Ok([text]) => Ok(text),
        Err(parts) => Err(Refusal::Malformed(format!(
            "input {index} has {} parts, and pairs are not classified; for several texts write [[\"a\"], [\"b\"]]",
            parts.len()
        ))),
    };
    let texts = inputs.into_iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut request = ClassifyRequest::texts(texts);
    // A text that is too long is an error there unless it may be cut.
    request.options.truncate = body.truncate.unwrap_or(false);
    request.method = Method::Tei;
    Ok((request, is_batch))
}

impl<'a> Answer<'a> {
    fn of(response: &'a ClassifyResponse, is_batch: bool) -> Self {
        let predictions = |scores: &'a LabelScores| -> Vec<Prediction<'a>> {
            scores.labels.iter().map(|one| Prediction { score: one.score, label: &one.label }).collect()
        };
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

fn failure(told: Told) -> Response {
    let error_type = match told.status {
        StatusCode::TOO_MANY_REQUESTS => "Overloaded",
        StatusCode::SERVICE_UNAVAILABLE => "Unhealthy",
        status if status.is_client_error() => "Validation",
        _ => "Backend",
    };
    let body = Failure { error: told.message.clone(), error_type };
    told.with(body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use wisp_engine::ClassifyInput;

    use super::*;

    fn parsed(json: &str) -> Result<(Vec<ClassifyInput>, bool), String> {
        let body = read(Ok(Upload(Bytes::copy_from_slice(json.as_bytes()))));
        let parsed = body.and_then(request).map(|(request, is_batch)| (request.inputs, is_batch));
        parsed.map_err(|refusal| refusal.told().message)
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
