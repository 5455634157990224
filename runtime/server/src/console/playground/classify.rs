//! `POST /api/classify`: a text or a picture, and the labels that the engine finds for it.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wisp_engine::{CandidateLabel, ClassifyInput, ClassifyOptions, ClassifyRequest, ClassifyResponse};

use super::{ANSWER_LIMIT, Way, refusal, stranger};
use crate::console::routes::{Console, Problem};
use crate::identity;

/// Labels of an answer: more bars nobody reads.
const LABELS_LIMIT: u32 = 12;

/// What to classify: a text, or a picture in its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Question {
    /// The deployment; left out for the only one that classifies, or `classifier`.
    deployment: Option<String>,
    text: Option<String>,
    /// A picture as its file has it, in base64.
    image: Option<String>,
    /// The labels to choose from; none for those of the deployment or its model.
    #[serde(default)]
    labels: Vec<String>,
}

/// What it is.
#[derive(Serialize)]
struct Answer {
    /// The highest scores first.
    labels: Vec<Label>,
    #[serde(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Label {
    label: String,
    /// From 0 to 1.
    score: f32,
}

pub(in crate::console) async fn classify(
    State(Console { engine, .. }): State<Console>,
    parts: Parts,
    question: Result<Json<Question>, JsonRejection>,
) -> Response {
    let tenant = match identity::tenant(&engine, &parts.headers, &parts.extensions) {
        Ok(tenant) => tenant,
        Err(status) => return stranger(&status),
    };
    let question = match question {
        Ok(Json(question)) => question,
        Err(rejection) => return (rejection.status(), Problem::new(rejection.body_text())).into_response(),
    };
    let mut request = match request(question) {
        Ok(request) => request,
        Err(problem) => return (StatusCode::BAD_REQUEST, Problem::new(problem)).into_response(),
    };
    request.tenant = Some(tenant);
    request.deadline = Some(Instant::now() + ANSWER_LIMIT);
    match engine.classify(request).await {
        Ok(response) => Json(Answer::from(response)).into_response(),
        Err(error) => refusal(&error),
    }
}

fn request(question: Question) -> Result<ClassifyRequest, String> {
    let input = match (question.text, question.image) {
        (Some(text), None) => ClassifyInput::Text(text),
        (None, Some(image)) => {
            let image = STANDARD.decode(image).map_err(|error| format!("the picture is not in base64: {error}"))?;
            ClassifyInput::Image(image)
        }
        _ => return Err("send either a text or a picture".to_owned()),
    };
    let candidates = question.labels.into_iter().map(|label| CandidateLabel { label, description: None });
    Ok(ClassifyRequest {
        deployment: question.deployment.filter(|name| !name.is_empty()),
        options: ClassifyOptions {
            candidates: candidates.collect(),
            top_k: Some(LABELS_LIMIT),
            ..ClassifyOptions::default()
        },
        ..ClassifyRequest::inputs([input])
    })
}

impl From<ClassifyResponse> for Answer {
    fn from(response: ClassifyResponse) -> Self {
        let way = Way::of(&response.times, response.placement.as_ref(), response.share);
        let labels = response.classifications.into_iter().flat_map(|classification| classification.labels);
        Self { labels: labels.map(|label| Label { label: label.label, score: label.score }).collect(), way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ClassifyRequest, String> {
        request(serde_json::from_str(json).expect("a question"))
    }

    #[test]
    fn a_text_or_a_picture_is_classified_and_nothing_else() {
        let text = read(r#"{"text":"a","labels":["x","y"]}"#).expect("a request");
        assert_eq!(text.inputs, [ClassifyInput::Text("a".to_owned())]);
        assert_eq!((text.options.candidates.len(), text.options.top_k), (2, Some(LABELS_LIMIT)));
        let picture = read(r#"{"image":"AAE="}"#).expect("a request");
        assert_eq!(picture.inputs, [ClassifyInput::Image(vec![0, 1])]);
        for wrong in ["{}", r#"{"text":"a","image":"AAE="}"#, r#"{"image":"%"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
