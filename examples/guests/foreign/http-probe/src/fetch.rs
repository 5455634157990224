//! A request to another server, and what came of it as an answer.

use std::io::{self, Read, Write as _};

use wasi::http::outgoing_handler;
use wasi::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, ResponseOutparam, Scheme};

use crate::answer::Answer;
use crate::query::parameter;

/// The most of an answer that is handed on, in bytes.
const LIMIT_BYTES: u64 = 1 << 20;

/// Fetches `url` by GET. Answers 200 with `status N` on a line and then the body, or 502 with the name of the error.
pub(crate) fn answer(query: &str, out: ResponseOutparam) -> io::Result<()> {
    let url = parameter(query, "url").unwrap_or_default();
    let Some(request) = request(&url) else {
        return Answer::begin(out, 400, "text/plain")?.text("say what: /fetch?url=http://…");
    };
    let fetched = send(request).and_then(|response| {
        let body = read(&response)?;
        Ok((response.status(), body))
    });
    match fetched {
        Ok((status, body)) => {
            let mut answer = Answer::begin(out, 200, "text/plain")?;
            answer.writer().write_all(format!("status {status}\n").as_bytes())?;
            answer.writer().write_all(&body)?;
            answer.finish()
        }
        Err(code) => Answer::begin(out, 502, "text/plain")?.text(&name(&code)),
    }
}

/// A GET of a URL, if it is one.
fn request(url: &str) -> Option<OutgoingRequest> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).ok()?;
    Some(request)
}

fn send(request: OutgoingRequest) -> Result<IncomingResponse, ErrorCode> {
    let response = outgoing_handler::handle(request, None)?;
    let ready = response.subscribe();
    ready.block();
    match response.get() {
        Some(Ok(result)) => result,
        Some(Err(())) | None => Err(ErrorCode::InternalError(Some("the host lost the response".to_owned()))),
    }
}

/// The body up to the limit.
fn read(response: &IncomingResponse) -> Result<Vec<u8>, ErrorCode> {
    let failed = |reason: String| ErrorCode::InternalError(Some(reason));
    let body = response.consume().map_err(|()| failed("the body is taken".to_owned()))?;
    let stream = body.stream().map_err(|()| failed("the stream is taken".to_owned()))?;
    let mut bytes = Vec::new();
    stream.take(LIMIT_BYTES).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

/// The name of an error as the WIT spells it but for capitals, and behind a colon what else it says.
fn name(code: &ErrorCode) -> String {
    let shown = format!("{code:?}");
    let shown = shown.strip_prefix("ErrorCode::").unwrap_or(&shown);
    let (name, more) = shown.split_at(shown.find(['(', ' ']).unwrap_or(shown.len()));
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    if more.is_empty() { kebab } else { format!("{kebab}: {more}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_as_in_the_wit() {
        assert_eq!(name(&ErrorCode::HttpRequestDenied), "http-request-denied");
        assert_eq!(name(&ErrorCode::DestinationIpProhibited), "destination-ip-prohibited");
        assert_eq!(name(&ErrorCode::InternalError(Some("why".to_owned()))), r#"internal-error: (Some("why"))"#);
    }
}
