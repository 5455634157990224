//! Classifies pictures over HTTP: a JPEG or PNG is posted, the best labels come back as JSON.
//!
//! ```text
//! POST /            {"labels":[{"index":166,"score":0.7734375}, …]}
//! ```
//!
//! A `wasi:http/proxy` component for any host that has `wasi:nn` as well. It asks for the model `classifier`, which takes
//! bytes, `[1, 224, 224, 3]`, and answers bytes or floats, one a class. `CLASSIFIER_INPUT` in its environment names the
//! model's input where it is not that of the birds' model.

mod classifier;

use std::io::{Read as _, Write as _};

use pictures::Picture;
use serde_json::json;
use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// The most that a picture may have in bytes; photographs of phones have a quarter of it.
const LIMIT_BYTES: u64 = 20 << 20;

/// Labels in an answer.
const LABELS: usize = 5;

/// Why a request is not answered with labels: a status of HTTP and a reason.
type Refusal = (u16, String);

struct Images;

impl Guest for Images {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, body) = match classify(&request) {
            Ok(labels) => (200, json!({ "labels": labels })),
            Err((status, reason)) => (status, json!({ "error": reason })),
        };
        if let Err(reason) = answer(out, status, &body.to_string()) {
            eprintln!("http-images: {reason}");
        }
    }
}

fn classify(request: &IncomingRequest) -> Result<serde_json::Value, Refusal> {
    if !matches!(request.method(), Method::Post) {
        return Err((400, "post a JPEG or PNG".to_owned()));
    }
    let file = body(request).map_err(|reason| (400, reason))?;
    let picture = Picture::decode(&file).map_err(|error| (400, error.to_string()))?;
    let scores = classifier::scores(&picture).map_err(|reason| (500, reason))?;
    let label = |(index, score): (usize, f32)| json!({ "index": index, "score": score });
    Ok(pictures::best(&scores, LABELS).into_iter().map(label).collect())
}

/// The whole body, if it is within the limit.
fn body(request: &IncomingRequest) -> Result<Vec<u8>, String> {
    let taken = |()| "the body is taken".to_owned();
    let body = request.consume().map_err(taken)?;
    let stream = body.stream().map_err(taken)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a body that fits from one that was cut.
    stream.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("the body broke off: {error}"))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(format!("the body has more than {LIMIT_BYTES} bytes; scale the picture down"));
    }
    Ok(bytes)
}

fn answer(out: ResponseOutparam, status: u16, json: &str) -> Result<(), String> {
    let headers = Fields::from_list(&[("content-type".to_owned(), b"application/json".to_vec())]);
    let response = OutgoingResponse::new(headers.map_err(|error| error.to_string())?);
    response.set_status_code(status).map_err(|()| format!("the host refused status {status}"))?;
    let body = response.body().map_err(|()| "the host refused a body")?;
    ResponseOutparam::set(out, Ok(response));
    {
        let mut stream = body.write().map_err(|()| "the host refused a stream")?;
        stream.write_all(json.as_bytes()).map_err(|error| error.to_string())?;
        stream.blocking_flush().map_err(|error| error.to_string())?;
    }
    OutgoingBody::finish(body, None).map_err(|error| error.to_string())
}

wasi::http::proxy::export!(Images);
