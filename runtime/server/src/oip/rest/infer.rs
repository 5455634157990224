//! `POST /v2/models/MODEL/infer`.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use tokio::time::Instant;
use wisp_engine::{Engine, Method, RefusalStage};

use super::body::{AnswerBody, JSON_LENGTH_HEADER, OutputBody, RequestBody, json_length, read, read_body};
use super::{Known, Named};
use crate::oip::call::{Answer, Ask, Who, call, find};
use crate::oip::error::OipError;
use crate::oip::parameters::{Parameter, Wishes, check_tensor};
use crate::oip::{OpenInference, VERSION};
use crate::upload::{NotReceived, Upload};

/// What a body with binary tensors is; one without is JSON.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who sends a request, if it is not refused whatever it asks for: its body is read after that.
pub(crate) struct Admissible(Who);

impl FromRequestParts<OpenInference> for Admissible {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, service: &OpenInference) -> Result<Self, OipError> {
        let arrived_at = Instant::now();
        let Known(tenant) = Known::from_request_parts(parts, service).await?;
        let engine = &service.engine;
        engine.check_at_door(Method::Infer, Some(&tenant), None).inspect_err(|_| {
            engine.refusal_told(RefusalStage::Door, arrived_at.elapsed());
        })?;
        Ok(Self(Who { tenant, deadline: None, arrived_at, method: Method::Infer }))
    }
}

/// Computes one request.
pub(crate) async fn infer(
    State(engine): State<Engine>,
    Admissible(who): Admissible,
    named: Named,
    headers: HeaderMap,
    body: Result<Upload, NotReceived>,
) -> Result<Response, OipError> {
    let body = read_body(&headers, body)?;
    let endpoint = find(&engine, &named.model, &named.version)?;
    let (request, inputs) = read(body, json_length(&headers)?)?;
    let parameters = request.parameters.iter().map(|(name, value)| (name.as_str(), Parameter::from(value)));
    let wishes = Wishes::read(parameters, &endpoint)?;
    for output in &request.outputs {
        check_tensor(&output.name, output.parameters.keys())?;
        request.is_binary(&output.name)?;
    }
    let outputs = request.outputs.iter().map(|output| output.name.clone()).collect();
    let answer = call(&engine, Ask { endpoint, inputs, outputs, wishes }, &who).await?;
    write(&request, answer)
}

/// The answer: JSON, and behind it the outputs that are wanted so.
fn write(request: &RequestBody, answer: Answer) -> Result<Response, OipError> {
    let mut binary = Vec::new();
    let mut outputs = Vec::with_capacity(answer.outputs.len());
    for tensor in &answer.outputs {
        outputs.push(if request.is_binary(&tensor.name)? {
            let raw = tensor.to_raw();
            let output = OutputBody::of_binary(tensor, raw.len());
            binary.push(raw);
            output
        } else {
            OutputBody::of_json(tensor)?
        });
    }
    let parameters = answer.parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into_json()));
    let body = AnswerBody {
        model_name: &answer.endpoint.name,
        model_version: VERSION,
        id: &request.id,
        parameters: parameters.collect(),
        outputs,
    };
    let mut bytes = serde_json::to_vec(&body).map_err(|error| OipError::Body(error.to_string()))?;
    if binary.is_empty() {
        return Ok(([(header::CONTENT_TYPE, JSON)], bytes).into_response());
    }
    let length = HeaderValue::from(bytes.len());
    bytes.reserve_exact(binary.iter().map(Bytes::len).sum());
    binary.iter().for_each(|raw| bytes.extend_from_slice(raw));
    let headers = [(header::CONTENT_TYPE, BINARY), (HeaderName::from_static(JSON_LENGTH_HEADER), length)];
    Ok((headers, bytes).into_response())
}
