//! The two ways in which refusals are told: OpenAI's error object, which Wisp's own messages have as well, and that of
//! text-embeddings-inference.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use wisp_core::Kinded;
use wisp_engine::{ClassifyError, EngineError, Method};

use super::refusal::Refusal;
use crate::status::{TeiErrorType, http_status, tei_status};

/// How a protocol tells that a request is refused.
pub(super) trait Dialect: Send + Sync + 'static {
    /// What its requests are counted as.
    const METHOD: Method;

    /// The whole answer.
    fn response(refusal: &Refusal) -> Response;
}

/// OpenAI's.
pub(super) enum OpenAi {}

/// That of text-embeddings-inference.
pub(super) enum Tei {}

/// That of the messages of `wisp.v1` as JSON.
pub(super) enum Native {}

/// The body of a refusal as OpenAI's clients read it.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenAiError {
    error: OpenAiErrorDetails,
}

#[derive(Serialize, ToSchema)]
struct OpenAiErrorDetails {
    /// What is wrong, and what to do.
    message: String,
    /// Whose fault it is: `invalid_request_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field of the request that it is about.
    param: Option<String>,
    /// What programs may tell apart: `invalid_api_key`, `model_not_found`, `rate_limit_exceeded`.
    code: Option<&'static str>,
}

/// The body of a refusal as clients of text-embeddings-inference read it.
#[derive(Serialize, ToSchema)]
pub(super) struct TeiError {
    /// What is wrong, and what to do.
    error: String,
    /// What programs may tell apart.
    error_type: TeiErrorType,
}

impl Dialect for OpenAi {
    const METHOD: Method = Method::Openai;

    fn response(refusal: &Refusal) -> Response {
        error_object(refusal, "model")
    }
}

impl Dialect for Native {
    const METHOD: Method = Method::Classify;

    fn response(refusal: &Refusal) -> Response {
        error_object(refusal, "deployment")
    }
}
impl Dialect for Tei {
    const METHOD: Method = Method::Tei;

    fn response(refusal: &Refusal) -> Response {
        let (status, error_type) = match refusal {
            // A batch of nothing has a word of its own there.
            Refusal::Engine(EngineError::NoTexts | EngineError::Classify(ClassifyError::NoInputs)) => {
                (StatusCode::BAD_REQUEST, TeiErrorType::Empty)
            }
            Refusal::Engine(error) => tei_status(error.kind()),
            Refusal::Value { .. } => (StatusCode::UNPROCESSABLE_ENTITY, TeiErrorType::Validation),
            Refusal::Unhealthy(_) => (transport_status(refusal), TeiErrorType::Unhealthy),
            other => (transport_status(other), TeiErrorType::Validation),
        };
        (status, refusal.headers(), Json(TeiError { error: refusal.to_string(), error_type })).into_response()
    }
}

/// OpenAI's error object; `deployment` is the field that names the deployment.
fn error_object(refusal: &Refusal, deployment: &str) -> Response {
    let status = match refusal {
        Refusal::Engine(error) => http_status(error.kind()),
        Refusal::Value { .. } => StatusCode::BAD_REQUEST,
        other => transport_status(other),
    };
    let (param, code) = match refusal {
        Refusal::Identity(_) => (None, Some("invalid_api_key")),
        Refusal::Value { place, .. } => (place.clone(), None),
        Refusal::Engine(EngineError::UnknownDeployment { .. } | EngineError::AmbiguousDeployment { .. }) => {
            (Some(deployment.to_owned()), Some("model_not_found"))
        }
        _ if status == StatusCode::TOO_MANY_REQUESTS => (None, Some("rate_limit_exceeded")),
        _ => (None, None),
    };
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    };
    let details = OpenAiErrorDetails { message: refusal.to_string(), kind, param, code };
    (status, refusal.headers(), Json(OpenAiError { error: details })).into_response()
}

/// The status of what is wrong with a request before it is understood: both protocols leave these to HTTP.
fn transport_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Identity(_) => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Size(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Late(_) => StatusCode::REQUEST_TIMEOUT,
        Refusal::Syntax(_) | Refusal::Value { .. } => StatusCode::BAD_REQUEST,
        Refusal::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Engine(error) => http_status(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use wisp_engine::CallError;

    use super::*;

    async fn told<D: Dialect>(refusal: &Refusal) -> (u16, Value) {
        let response = D::response(refusal);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("is there").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn openai_names_the_field_and_a_code() {
        let refusal = Refusal::Value { place: Some("input[3]".to_owned()), message: "wrong".to_owned() };
        let details = json!({"message": "wrong", "type": "invalid_request_error", "param": "input[3]", "code": null});
        assert_eq!(told::<OpenAi>(&refusal).await, (400, json!({ "error": details })));
        let unknown = EngineError::UnknownDeployment { name: "x".to_owned(), available: "`y`".to_owned() };
        let (status, body) = told::<OpenAi>(&Refusal::Engine(unknown)).await;
        assert_eq!(
            (status, &body["error"]["code"], &body["error"]["param"]),
            (404, &json!("model_not_found"), &json!("model"))
        );
        let (status, body) = told::<OpenAi>(&Refusal::Identity("whose?".to_owned())).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")));
    }

    #[tokio::test]
    async fn tei_has_a_type_for_each_kind() {
        for (refusal, status, kind) in [
            (Refusal::Engine(EngineError::NoTexts), 400, "Empty"),
            (Refusal::Engine(EngineError::EmptyText { index: 0 }), 422, "Validation"),
            (Refusal::Engine(EngineError::TooManyTexts { count: 2, limit: 1 }), 413, "Validation"),
            (Refusal::Engine(EngineError::Draining), 503, "Unhealthy"),
            (Refusal::Syntax("no JSON".to_owned()), 400, "Validation"),
            (Refusal::Unhealthy("no model".to_owned()), 503, "Unhealthy"),
        ] {
            let message = refusal.to_string();
            assert_eq!(told::<Tei>(&refusal).await, (status, json!({"error": message, "error_type": kind})));
        }
    }

    #[tokio::test]
    async fn what_is_overloaded_says_in_seconds_and_milliseconds_when_to_come_back() {
        let overloaded =
            CallError::Overloaded { message: "later".to_owned(), retry_after: Duration::from_millis(1500) };
        let refusal = Refusal::Engine(EngineError::Call(overloaded));
        for (response, status) in [(OpenAi::response(&refusal), 429), (Tei::response(&refusal), 429)] {
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["retry-after"], "2");
            assert_eq!(response.headers()["retry-after-ms"], "1500");
        }
        let (_, body) = told::<OpenAi>(&refusal).await;
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
        assert_eq!(told::<Tei>(&refusal).await.1["error_type"], "Overloaded");
    }

    #[test]
    fn a_wrong_token_is_challenged() {
        assert_eq!(Tei::response(&Refusal::Identity("whose?".to_owned())).headers()["www-authenticate"], "Bearer");
    }
}
