//! The body of a request: JSON within a size and a time, and an error that names the place where it is something else.

use std::marker::PhantomData;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::Rest;
use super::dialect::Dialect;
use super::refusal::{Refusal, Refused};
use crate::upload::{NotReceived, receive};

/// Longest part of a client's header that is repeated in a message.
const HEADER_SHOWN_CHARS: usize = 64;

/// A message in JSON.
pub(super) struct Body<T, D> {
    pub(super) message: T,
    dialect: PhantomData<D>,
}

impl<T: DeserializeOwned, D: Dialect> FromRequest<Rest> for Body<T, D> {
    type Rejection = Refused<D>;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Refused<D>> {
        check_media_type(request.headers())?;
        let bytes = receive(request.into_body(), rest.engine.limits()).await.map_err(not_received)?;
        Ok(Self { message: parse(&bytes)?, dialect: PhantomData })
    }
}

/// Reads a message.
///
/// # Errors
/// [`Refusal::Syntax`] for what is not JSON, [`Refusal::Value`] for JSON that is another message.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // Serde would take the elements of a list for the fields of a message, in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::Value { place: None, message: "the body is a list; send an object".to_owned() });
    }
    match Json::from_bytes(bytes) {
        Ok(Json(message)) => Ok(message),
        Err(rejection) => Err(refusal(&rejection)),
    }
}

/// A browser asks before it sends JSON to another site, and does not before it sends a form; so what is not called JSON is not
/// taken for it.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = value.as_deref().map(|value| value.split(';').next().unwrap_or(value).trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        Some(other) => {
            let shown: String = other.chars().take(HEADER_SHOWN_CHARS).collect();
            Err(Refusal::MediaType(format!("the body is `{shown}`; send `content-type: application/json`")))
        }
        None => Err(Refusal::MediaType("the body has no type; send `content-type: application/json`".to_owned())),
    }
}

fn not_received(problem: NotReceived) -> Refusal {
    let message = problem.to_string();
    match problem {
        NotReceived::TooLarge { .. } => Refusal::Size(message),
        NotReceived::Late { .. } => Refusal::Late(message),
        NotReceived::BrokenOff(_) => Refusal::Syntax(message),
    }
}

fn refusal(rejection: &JsonRejection) -> Refusal {
    // The rejection's own text names a Rust type; its source has place, reason, line and column.
    let source = std::error::Error::source(rejection);
    let message = source.map_or_else(|| rejection.body_text(), ToString::to_string);
    match rejection {
        JsonRejection::JsonDataError(_) => Refusal::Value { place: place(&message), message },
        _ => Refusal::Syntax(format!("the body is not JSON: {message}")),
    }
}

/// The path that a message begins with: `inputs[3]: invalid type …`.
fn place(message: &str) -> Option<String> {
    let (place, _) = message.split_once(": ")?;
    let is_path = |character: char| character.is_ascii_alphanumeric() || "_.[]".contains(character);
    (!place.is_empty() && place.chars().all(is_path)).then(|| place.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Message {
        texts: Vec<String>,
    }

    #[test]
    fn an_error_names_the_place_in_the_message_and_in_the_text() {
        let error = parse::<Message>(br#"{"texts": ["a", 3]}"#).expect_err("3 is no text");
        let Refusal::Value { place, message } = error else { panic!("{error:?}") };
        assert_eq!(place.as_deref(), Some("texts[1]"));
        assert_eq!(message, "texts[1]: invalid type: integer `3`, expected a string at line 1 column 17");
        let error = parse::<Message>(b"{}").expect_err("no texts");
        let Refusal::Value { place: None, message } = error else { panic!("{error:?}") };
        assert_eq!(message, "missing field `texts` at line 1 column 2");
    }

    #[test]
    fn what_is_not_json_is_told_apart_from_json_of_another_shape() {
        for text in [&b"{"[..], b"", b"\xff", b"{\"texts\": [NaN]}", b"{\"texts\": []} and more"] {
            let error = parse::<Message>(text).expect_err("is not JSON");
            assert!(
                matches!(&error, Refusal::Syntax(message) if message.starts_with("the body is not JSON: ")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn only_json_is_taken_for_json() {
        let check = |value: &'static str| {
            check_media_type(&HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(value))]))
        };
        for right in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=utf-8"] {
            assert!(check(right).is_ok(), "{right}");
        }
        let error = check("application/x-www-form-urlencoded").expect_err("a form").to_string();
        assert_eq!(error, "the body is `application/x-www-form-urlencoded`; send `content-type: application/json`");
        assert!(check_media_type(&HeaderMap::new()).is_err());
    }
}
