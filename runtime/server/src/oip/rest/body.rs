//! The bodies of `infer`: JSON, and binary tensors one after the other behind it.
//!
//! The header `Inference-Header-Content-Length` says where the JSON ends. Source: Triton, "Binary tensor data extension".

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oip::error::OipError;
use crate::oip::json::{self, Flat};
use crate::oip::parameters::check_tensor;
use crate::oip::tensors::{Head, WireTensor};
use crate::oip::written::Written;
use crate::upload::{NotReceived, Upload};

/// Length of the JSON in bytes.
pub(crate) const JSON_LENGTH_HEADER: &str = "inference-header-content-length";

/// Size of a tensor behind the JSON, in bytes.
const SIZE_PARAMETER: &str = "binary_data_size";

/// Whether an output comes behind the JSON.
const OUTPUT_PARAMETER: &str = "binary_data";

/// The same for all outputs that do not say it themselves.
const OUTPUTS_PARAMETER: &str = "binary_data_output";

/// A request. Keys that are not here belong to extensions of others, and are left unread.
#[derive(Debug, Deserialize)]
pub(crate) struct RequestBody {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
    pub(crate) inputs: Vec<InputBody>,
    #[serde(default)]
    pub(crate) outputs: Vec<RequestedOutput>,
}

/// An input.
#[derive(Debug, Deserialize)]
pub(crate) struct InputBody {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Flat>,
}

/// An output that is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct RequestedOutput {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
}

/// An answer.
#[derive(Serialize)]
pub(crate) struct AnswerBody<'a> {
    pub(crate) model_name: &'a str,
    pub(crate) model_version: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) id: &'a str,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) outputs: Vec<OutputBody<'a>>,
}

/// An output of an answer, with its elements or with their size.
#[derive(Serialize)]
pub(crate) struct OutputBody<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Written<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// The bytes of a body, if all of it may be read.
pub(crate) fn read_body(headers: &HeaderMap, body: Result<Upload, NotReceived>) -> Result<Bytes, OipError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|it| it.as_bytes() != b"identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).chars().take(32).collect::<String>();
        return Err(OipError::Unsupported(format!(
            "content-encoding `{encoding}` is not supported; send the body as it is"
        )));
    }
    Ok(body?.0)
}

/// Where the JSON ends, if the headers say it.
pub(crate) fn json_length(headers: &HeaderMap) -> Result<Option<usize>, OipError> {
    let Some(value) = headers.get(JSON_LENGTH_HEADER) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || OipError::Body(format!("{JSON_LENGTH_HEADER} must be a number of bytes"));
    length.ok_or_else(wrong).map(Some)
}

/// Reads a request and its inputs.
pub(crate) fn read(mut body: Bytes, json_length: Option<usize>) -> Result<(RequestBody, Vec<WireTensor>), OipError> {
    let length = json_length.unwrap_or(body.len());
    if length > body.len() {
        let message = format!("{JSON_LENGTH_HEADER} says {length}, and the body has {} bytes", body.len());
        return Err(OipError::Body(message));
    }
    let mut binary = body.split_off(length);
    let mut request: RequestBody =
        serde_json::from_slice(&body).map_err(|error| OipError::Body(format!("the body: {error}")))?;
    let inputs = std::mem::take(&mut request.inputs);
    let inputs = inputs.into_iter().map(|input| input.read(&mut binary)).collect::<Result<Vec<_>, _>>()?;
    if !binary.is_empty() {
        let left = binary.len();
        return Err(OipError::Body(format!("{left} bytes follow that belong to no input; see `{SIZE_PARAMETER}`")));
    }
    Ok((request, inputs))
}

impl InputBody {
    /// The tensor, out of the JSON or off the front of what follows it.
    fn read(self, binary: &mut Bytes) -> Result<WireTensor, OipError> {
        let Self { name, shape, datatype, parameters, data } = self;
        check_tensor(&name, parameters.keys())?;
        let head = Head::read(&name, &datatype, &shape)?;
        match (parameters.get(SIZE_PARAMETER), data) {
            (None, Some(flat)) => Ok(json::decode(head, flat)?),
            (None, None) => {
                Err(OipError::Body(format!("input `{name}` has neither `data` nor the parameter `{SIZE_PARAMETER}`")))
            }
            (Some(_), Some(_)) => {
                Err(OipError::Body(format!("input `{name}` has both `data` and the parameter `{SIZE_PARAMETER}`")))
            }
            (Some(size), None) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let wrong =
                    || OipError::Body(format!("`{SIZE_PARAMETER}` of input `{name}` must be a number of bytes"));
                let size = size.ok_or_else(wrong)?;
                if size > binary.len() {
                    let left = binary.len();
                    let message = format!("input `{name}` has {size} bytes behind the JSON, and {left} are left there");
                    return Err(OipError::Body(message));
                }
                Ok(head.with_raw(binary.split_to(size))?)
            }
        }
    }
}

impl RequestBody {
    /// Whether this output comes behind the JSON.
    pub(crate) fn is_binary(&self, output: &str) -> Result<bool, OipError> {
        let flag = |parameters: &Map<String, Value>, name: &str| match parameters.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(OipError::Body(format!("parameter `{name}` must be true or false"))),
        };
        let requested = self.outputs.iter().find(|requested| requested.name == output);
        let own = requested.map(|requested| flag(&requested.parameters, OUTPUT_PARAMETER)).transpose()?.flatten();
        Ok(own.or(flag(&self.parameters, OUTPUTS_PARAMETER)?).unwrap_or(false))
    }
}

impl<'a> OutputBody<'a> {
    /// The output whose elements stand in the JSON.
    pub(crate) fn of_json(tensor: &'a WireTensor) -> Result<Self, OipError> {
        let written = Written::of(tensor).map_err(|reason| OipError::NotJson { name: tensor.name.clone(), reason })?;
        Ok(Self { data: Some(written), ..Self::without_elements(tensor) })
    }

    /// The output whose elements follow the JSON.
    pub(crate) fn of_binary(tensor: &'a WireTensor, binary_data_size: usize) -> Self {
        Self { parameters: Some(BinarySize { binary_data_size }), ..Self::without_elements(tensor) }
    }

    fn without_elements(tensor: &'a WireTensor) -> Self {
        let (name, datatype, shape) = (tensor.name.as_str(), tensor.datatype.name(), tensor.shape.as_slice());
        Self { name, datatype, shape, parameters: None, data: None }
    }
}
