//! Answers HTTP in the way that the path names, so that what a host of `wasi:http` does with each can be tested.
//!
//! `/` greets, `/echo` hands the body back, `/headers` and `/env` tell what arrived, `/big?bytes=N` is long, `/fetch?url=U`
//! asks another server. `/trap`, `/loop`, `/slow`, `/allocate` and `/never` misbehave.

mod answer;
mod fetch;
mod misuse;
mod query;

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use serde_json::json;
use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{IncomingBody, IncomingRequest, ResponseOutparam};

use answer::Answer;
use query::parameter;

/// How much is copied or made at a time, in bytes.
const PIECE_BYTES: usize = 1 << 16;

struct Probe;

impl Guest for Probe {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path_with_query = request.path_with_query().unwrap_or_default();
        let (path, query) = path_with_query.split_once('?').unwrap_or((&path_with_query, ""));
        let answered = match path {
            "/" => {
                let authority = request.authority().unwrap_or_default();
                Answer::begin(out, 200, "text/plain").and_then(|answer| answer.text(&format!("hello from {authority}")))
            }
            "/echo" => echo(&request, out),
            "/headers" => {
                Answer::begin(out, 200, "application/json").and_then(|answer| answer.text(&headers(&request)))
            }
            "/env" => Answer::begin(out, 200, "application/json").and_then(|answer| answer.text(&variables())),
            "/big" => big(query, out),
            "/fetch" => fetch::answer(query, out),
            "/trap" => panic!("asked to trap"),
            "/loop" => misuse::spin(),
            "/slow" => misuse::sleep(),
            "/allocate" => misuse::allocate(out),
            // Dropping the way to answer is all that ends it.
            "/never" => Ok(()),
            _ => Answer::begin(out, 404, "text/plain").and_then(|answer| answer.text(&format!("nothing is at {path}"))),
        };
        if let Err(error) = answered {
            // A client that has left, most of the time. The log is all that is left to tell it.
            eprintln!("http-probe: {path}: {error}");
        }
    }
}

/// Hands the body back while it comes in.
fn echo(request: &IncomingRequest, out: ResponseOutparam) -> io::Result<()> {
    let gone = || io::Error::other("the body of the request is taken");
    let incoming: IncomingBody = request.consume().map_err(|()| gone())?;
    let mut stream = incoming.stream().map_err(|()| gone())?;
    let mut answer = Answer::begin(out, 200, "application/octet-stream")?;
    io::copy(&mut stream, answer.writer())?;
    answer.finish()
}

/// The headers as a JSON object; those that came more than once are joined by commas.
fn headers(request: &IncomingRequest) -> String {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in request.headers().entries() {
        let value = String::from_utf8_lossy(&value);
        joined
            .entry(name)
            .and_modify(|values| *values = format!("{values}, {value}"))
            .or_insert_with(|| value.into_owned());
    }
    json!(joined).to_string()
}

/// The environment as a JSON object.
fn variables() -> String {
    json!(std::env::vars().collect::<BTreeMap<_, _>>()).to_string()
}

/// As many bytes as asked for: the alphabet over and over.
fn big(query: &str, out: ResponseOutparam) -> io::Result<()> {
    let Some(mut left) = parameter(query, "bytes").and_then(|bytes| bytes.parse::<usize>().ok()) else {
        return Answer::begin(out, 400, "text/plain")?.text("say how many: /big?bytes=N");
    };
    // Pieces of whole alphabets, so that the next piece goes on where the last one ended.
    let alphabet: Vec<u8> = (b'a'..=b'z').collect();
    let piece = alphabet.repeat(PIECE_BYTES / alphabet.len());
    let mut answer = Answer::begin(out, 200, "text/plain")?;
    while left > 0 {
        let length = left.min(piece.len());
        answer.writer().write_all(&piece[..length])?;
        left -= length;
    }
    answer.finish()
}

wasi::http::proxy::export!(Probe);
