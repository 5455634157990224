//! `POST /api/embed`: texts that a person types, and how alike the engine finds them.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wisp_engine::{EmbedRequest, EmbedResponse};

use super::{ANSWER_LIMIT, TEXTS_LIMIT, Way, refusal, stranger};
use crate::console::routes::{Console, Problem};
use crate::identity;

/// Texts to compare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Question {
    /// The deployment; left out for the only one, or `embedder`.
    deployment: Option<String>,
    texts: Vec<String>,
}

/// How alike they are.
#[derive(Serialize)]
struct Answer {
    /// Cosine of each pair: a square of as many rows as texts.
    similarity: Vec<Vec<f64>>,
    /// Length of a vector.
    dimensions: usize,
    /// Tokens of each text.
    tokens: Vec<u32>,
    #[serde(flatten)]
    way: Way,
}

pub(in crate::console) async fn embed(
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
    if question.texts.len() > TEXTS_LIMIT {
        let count = question.texts.len();
        let problem = format!("{count} texts are too many to compare here; send at most {TEXTS_LIMIT}");
        return (StatusCode::PAYLOAD_TOO_LARGE, Problem::new(problem)).into_response();
    }
    let mut request = EmbedRequest::texts(question.texts);
    request.deployment = question.deployment.filter(|name| !name.is_empty());
    request.tenant = Some(tenant);
    request.deadline = Some(Instant::now() + ANSWER_LIMIT);
    match engine.embed(request).await {
        Ok(response) => Json(Answer::from(&response)).into_response(),
        Err(error) => refusal(&error),
    }
}

impl From<&EmbedResponse> for Answer {
    fn from(response: &EmbedResponse) -> Self {
        let vectors: Vec<&[f32]> = response.vectors().collect();
        let row = |a: &&[f32]| vectors.iter().map(|b| cosine(a, b)).collect();
        Self {
            similarity: vectors.iter().map(row).collect(),
            dimensions: response.dimensions,
            tokens: response.token_counts.clone(),
            way: Way::of(&response.times, response.placement.as_ref(), response.share),
        }
    }
}

/// Cosine of two vectors; 0 where one of them has no direction.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { (dot(a, b) / length).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_of_directions_alone() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 0.0], &[0.0, 3.0]).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[-2.0, 0.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).abs() < 1e-12);
    }
}
