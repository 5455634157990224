//! The parameters of a request: what they ask for, and which nobody here knows.

use std::time::Duration;

use wisp_core::{ErrorKind, Kinded};
use wisp_engine::{ClassifyOptions, EmbedOptions, Endpoint, EndpointKind, Lane};
use wisp_proto::inference::{InferParameter, infer_parameter::ParameterChoice};

/// The least urgent priority that somebody waits for: 0 is the default and 1 the highest, as Triton counts.
const INTERACTIVE_PRIORITY: u64 = 1;

/// How the parameters of extensions begin that change nothing here, such as whether a stream ends with an empty answer.
const OTHERS_PREFIX: &str = "triton_";

/// Parameters that other servers' clients send along, and that say nothing of what to compute.
const HARMLESS: [&str; 3] = ["binary_data_output", "content_type", "headers"];

/// Parameters of a tensor that would change its meaning.
const TENSOR_EXTENSIONS: [(&str, &str); 2] =
    [("shared_memory_region", "shared memory"), ("classification", "classification of an output")];

/// The value of a parameter, whichever way it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parameter {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    /// A form that is none of the above.
    Other,
}

/// What the parameters of a request ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    /// For deployments that embed.
    pub(crate) embed: EmbedOptions,
    /// For deployments that classify.
    pub(crate) classify: ClassifyOptions,
    pub(crate) lane: Lane,
    /// Time from the arrival of the request.
    pub(crate) timeout: Option<Duration>,
}

/// Why parameters cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterFault {
    #[error("parameter `{name}` does not exist for `{endpoint}`; it takes {known}")]
    Unknown { name: String, endpoint: String, known: String },
    #[error("parameter `{name}` must be {expected}")]
    Type { name: String, expected: &'static str },
    #[error("parameter `{parameter}` of `{tensor}` asks for {extension}, which is not supported; leave it out")]
    Extension { parameter: &'static str, tensor: String, extension: &'static str },
}

impl Kinded for ParameterFault {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Extension { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

impl Wishes {
    /// Reads the parameters of a request to this endpoint.
    pub(crate) fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, Parameter)>,
        endpoint: &Endpoint,
    ) -> Result<Self, ParameterFault> {
        let mut wishes = Self::default();
        let (embeds, classifies) = (endpoint.kind == EndpointKind::Embedder, endpoint.kind == EndpointKind::Classifier);
        for (name, value) in parameters {
            match name {
                "priority" => wishes.lane = lane(name, &value)?,
                "timeout" => wishes.timeout = timeout(name, &value)?,
                "normalize" if embeds => wishes.embed.normalize = boolean(name, &value)?,
                "truncate" if embeds => wishes.embed.truncate = boolean(name, &value)?,
                "dimensions" if embeds => wishes.embed.dimensions = Some(whole_u32(name, &value)?),
                "template" if classifies => wishes.classify.template = Some(text(name, value)?),
                "multi_label" if classifies => wishes.classify.is_multi_label = boolean(name, &value)?,
                "top_k" if classifies => wishes.classify.top_k = Some(whole_u32(name, &value)?),
                "truncate" if classifies => wishes.classify.truncate = boolean(name, &value)?,
                _ if name.starts_with(OTHERS_PREFIX) || HARMLESS.contains(&name) => {}
                _ => return Err(unknown(name, endpoint)),
            }
        }
        Ok(wishes)
    }
}

impl Parameter {
    /// A whole number that is 0 or more.
    fn whole(&self) -> Option<u64> {
        match *self {
            Self::Int(value) => u64::try_from(value).ok(),
            Self::Uint(value) => Some(value),
            _ => None,
        }
    }

    /// As gRPC carries it.
    pub(crate) fn into_message(self) -> InferParameter {
        let choice = match self {
            Self::Bool(value) => Some(ParameterChoice::BoolParam(value)),
            Self::Int(value) => Some(ParameterChoice::Int64Param(value)),
            Self::Uint(value) => Some(ParameterChoice::Uint64Param(value)),
            Self::Double(value) => Some(ParameterChoice::DoubleParam(value)),
            Self::String(value) => Some(ParameterChoice::StringParam(value)),
            Self::Other => None,
        };
        InferParameter { parameter_choice: choice }
    }

    /// As JSON carries it.
    pub(crate) fn into_json(self) -> serde_json::Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Uint(value) => value.into(),
            Self::Double(value) => value.into(),
            Self::String(value) => value.into(),
            Self::Other => serde_json::Value::Null,
        }
    }
}

impl From<&InferParameter> for Parameter {
    fn from(message: &InferParameter) -> Self {
        match &message.parameter_choice {
            Some(ParameterChoice::BoolParam(value)) => Self::Bool(*value),
            Some(ParameterChoice::Int64Param(value)) => Self::Int(*value),
            Some(ParameterChoice::Uint64Param(value)) => Self::Uint(*value),
            Some(ParameterChoice::DoubleParam(value)) => Self::Double(*value),
            Some(ParameterChoice::StringParam(value)) => Self::String(value.clone()),
            None => Self::Other,
        }
    }
}

impl From<&serde_json::Value> for Parameter {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::String(value) => Self::String(value.clone()),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::Uint))
                .or_else(|| number.as_f64().map(Self::Double))
                .unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }
}

/// Refuses the parameters of a tensor that would change what it is. Others are notes of clients to themselves.
pub(crate) fn check_tensor<'a>(
    tensor: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), ParameterFault> {
    for name in names {
        if let Some(&(parameter, extension)) = TENSOR_EXTENSIONS.iter().find(|(known, _)| known == name) {
            return Err(ParameterFault::Extension { parameter, tensor: tensor.to_owned(), extension });
        }
    }
    Ok(())
}

fn boolean(name: &str, value: &Parameter) -> Result<bool, ParameterFault> {
    match value {
        Parameter::Bool(value) => Ok(*value),
        _ => Err(ParameterFault::Type { name: name.to_owned(), expected: "true or false" }),
    }
}

fn whole_u32(name: &str, value: &Parameter) -> Result<u32, ParameterFault> {
    let whole = value.whole().and_then(|value| u32::try_from(value).ok());
    whole.ok_or_else(|| ParameterFault::Type { name: name.to_owned(), expected: "a whole number of 32 bits" })
}

fn text(name: &str, value: Parameter) -> Result<String, ParameterFault> {
    match value {
        Parameter::String(text) => Ok(text),
        _ => Err(ParameterFault::Type { name: name.to_owned(), expected: "a string" }),
    }
}

fn lane(name: &str, value: &Parameter) -> Result<Lane, ParameterFault> {
    let wrong = || ParameterFault::Type {
        name: name.to_owned(),
        expected: "a whole number: 0 or 1 for requests that somebody waits for, higher for bulk",
    };
    let priority = value.whole().ok_or_else(wrong)?;
    Ok(if priority <= INTERACTIVE_PRIORITY { Lane::Interactive } else { Lane::Bulk })
}

fn timeout(name: &str, value: &Parameter) -> Result<Option<Duration>, ParameterFault> {
    let wrong = || ParameterFault::Type { name: name.to_owned(), expected: "a whole number of microseconds" };
    let timeout_us = value.whole().ok_or_else(wrong)?;
    // As Triton has it: 0 is no timeout.
    Ok((timeout_us > 0).then(|| Duration::from_micros(timeout_us)))
}

fn unknown(name: &str, endpoint: &Endpoint) -> ParameterFault {
    let known = match endpoint.kind {
        EndpointKind::Embedder => "normalize, dimensions, truncate, priority and timeout",
        EndpointKind::Classifier => "template, multi_label, top_k, truncate, priority and timeout",
        EndpointKind::Model { .. } => "priority and timeout",
    };
    let name = name.chars().take(64).collect();
    ParameterFault::Unknown { name, endpoint: endpoint.name.clone(), known: known.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn endpoint(kind: EndpointKind) -> Endpoint {
        let (inputs, outputs, properties) = (Vec::new(), Vec::new(), BTreeMap::new());
        Endpoint { name: "e".to_owned(), kind, inputs, outputs, properties }
    }

    fn read(parameters: &[(&str, Parameter)]) -> Result<Wishes, String> {
        let parameters = parameters.iter().map(|(name, value)| (*name, value.clone()));
        Wishes::read(parameters, &endpoint(EndpointKind::Embedder)).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_followed() {
        let wishes = read(&[
            ("normalize", Parameter::Bool(false)),
            ("truncate", Parameter::Bool(false)),
            ("dimensions", Parameter::Int(64)),
            ("priority", Parameter::Uint(2)),
            ("timeout", Parameter::Int(1500)),
            ("triton_enable_empty_final_response", Parameter::Bool(true)),
        ]);
        let embed = EmbedOptions { normalize: false, truncate: false, dimensions: Some(64) };
        let timeout = Some(Duration::from_micros(1500));
        assert_eq!(wishes, Ok(Wishes { embed, lane: Lane::Bulk, timeout, ..Wishes::default() }));
        assert_eq!(read(&[("priority", Parameter::Int(1)), ("timeout", Parameter::Int(0))]), Ok(Wishes::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value, message) in [
            (
                "normalise",
                Parameter::Bool(true),
                "parameter `normalise` does not exist for `e`; it takes normalize, dimensions, truncate, priority and timeout",
            ),
            ("sequence_id", Parameter::Int(7), "parameter `sequence_id` does not exist"),
            ("normalize", Parameter::Int(1), "parameter `normalize` must be true or false"),
            ("dimensions", Parameter::Int(-1), "parameter `dimensions` must be a whole number of 32 bits"),
            ("priority", Parameter::Int(-1), "parameter `priority` must be a whole number: "),
            ("timeout", Parameter::Double(0.5), "parameter `timeout` must be a whole number of microseconds"),
            ("timeout", Parameter::Other, "parameter `timeout` must be a whole number of microseconds"),
        ] {
            let error = read(&[(name, value)]).expect_err(message);
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_deployment_that_classifies_has_parameters_of_its_own() {
        let classifier = endpoint(EndpointKind::Classifier);
        let parameters = [
            ("template", Parameter::String("On {}.".to_owned())),
            ("multi_label", Parameter::Bool(true)),
            ("top_k", Parameter::Int(3)),
            ("truncate", Parameter::Bool(false)),
        ];
        let wishes = Wishes::read(parameters, &classifier).expect("all of them are known");
        let classify = ClassifyOptions {
            candidates: Vec::new(),
            template: Some("On {}.".to_owned()),
            is_multi_label: true,
            top_k: Some(3),
            truncate: false,
        };
        assert_eq!(wishes, Wishes { classify, ..Wishes::default() });
        for (name, value, message) in [
            ("template", Parameter::Int(1), "parameter `template` must be a string"),
            ("top_k", Parameter::Bool(true), "parameter `top_k` must be a whole number of 32 bits"),
            (
                "normalize",
                Parameter::Bool(true),
                "parameter `normalize` does not exist for `e`; it takes template, multi_label, top_k, truncate, priority and timeout",
            ),
        ] {
            let error = Wishes::read([(name, value)], &classifier).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_model_without_a_guest_does_not_embed() {
        let model = endpoint(EndpointKind::Model { max_rows: 1, shares_rows: false });
        let error = Wishes::read([("normalize", Parameter::Bool(true))], &model).expect_err("computes as it is");
        assert_eq!(error.to_string(), "parameter `normalize` does not exist for `e`; it takes priority and timeout");
    }

    #[test]
    fn a_tensor_in_shared_memory_is_refused_and_notes_of_clients_are_not() {
        check_tensor("x", &["content_type".to_owned()]).expect("a note");
        let error = check_tensor("x", &["shared_memory_region".to_owned()]).expect_err("is not here");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
