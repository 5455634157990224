//! A request of the protocol, whichever transport brought it: found, checked, computed, and its outputs chosen.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_engine::{Endpoint, Engine, EngineError, InferRequest, InferResponse, Method, Tenant};

use super::VERSION;
use super::datatype::Datatype;
use super::error::OipError;
use super::parameters::{Parameter, Wishes};
use super::tensors::WireTensor;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) inputs: Vec<WireTensor>,
    /// Names of the outputs to answer with; empty for all.
    pub(crate) outputs: Vec<String>,
    pub(crate) wishes: Wishes,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) tenant: Tenant,
    /// When the client stops waiting, as the transport knows it.
    pub(crate) deadline: Option<Instant>,
    pub(crate) arrived_at: Instant,
    /// What figures count it as.
    pub(crate) method: Method,
}

/// The outputs that were asked for, and what is to be said of how they came about.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) outputs: Vec<WireTensor>,
    pub(crate) parameters: Vec<(&'static str, Parameter)>,
}

/// The deployment or model of this name, in the version that there is.
pub(crate) fn find(engine: &Engine, model: &str, version: &str) -> Result<Arc<Endpoint>, OipError> {
    let endpoint = engine.endpoint(model)?;
    if !version.is_empty() && version != VERSION {
        let version = version.chars().take(32).collect();
        return Err(OipError::Version { model: model.to_owned(), version });
    }
    Ok(endpoint)
}

/// Computes, and notes how long whoever is refused for want of room waited for that.
pub(crate) async fn call(engine: &Engine, ask: Ask, who: &Who) -> Result<Answer, OipError> {
    let Ask { endpoint, inputs, outputs, wishes } = ask;
    check_outputs(&endpoint, &outputs)?;
    let timeout = wishes.timeout.and_then(|timeout| who.arrived_at.checked_add(timeout));
    let request = InferRequest {
        name: endpoint.name.clone(),
        inputs: inputs.into_iter().map(|input| for_engine(&endpoint, input)).collect::<Result<_, _>>()?,
        embed: wishes.embed,
        classify: wishes.classify,
        deadline: who.deadline.into_iter().chain(timeout).min(),
        lane: wishes.lane,
        tenant: Some(who.tenant.clone()),
        method: who.method,
    };
    match engine.infer(request).await {
        Ok(response) => Ok(answer(response, &outputs)),
        Err(error) => {
            note_refusal(engine, &error, who);
            Err(error.into())
        }
    }
}

fn note_refusal(engine: &Engine, error: &EngineError, who: &Who) {
    if let Some(stage) = error.refused_at() {
        engine.refusal_told(stage, who.arrived_at.elapsed());
    }
    tracing::debug!("infer failed: {error}");
}

/// The input, if the endpoint takes one of its name and datatype. Shapes are checked where it is computed.
fn for_engine(endpoint: &Endpoint, input: WireTensor) -> Result<wisp_engine::InferTensor, OipError> {
    let (model, name, actual) = (endpoint.name.clone(), input.name.clone(), input.datatype);
    let Some(spec) = endpoint.input(&name) else {
        return Err(OipError::Input { model, name, expected: endpoint.input_names() });
    };
    let expected = Datatype::from(spec.value_type);
    match input.into_input()? {
        Some(tensor) if expected == actual => Ok(tensor),
        _ => Err(OipError::Datatype { model, name, expected, actual }),
    }
}

fn check_outputs(endpoint: &Endpoint, outputs: &[String]) -> Result<(), OipError> {
    for (index, name) in outputs.iter().enumerate() {
        if !endpoint.outputs.iter().any(|spec| spec.name == *name) {
            let available: Vec<_> = endpoint.outputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            let (model, name) = (endpoint.name.clone(), name.chars().take(128).collect());
            return Err(OipError::Output { model, name, available: available.join(", ") });
        }
        if outputs[..index].contains(name) {
            return Err(OipError::OutputTwice { name: name.clone() });
        }
    }
    Ok(())
}

fn answer(response: InferResponse, wanted: &[String]) -> Answer {
    let parameters = parameters(&response);
    let mut outputs: Vec<_> = response.outputs.into_iter().map(WireTensor::of_output).collect();
    if !wanted.is_empty() {
        // All of them exist: that was checked before anything was computed.
        let place = |output: &WireTensor| wanted.iter().position(|name| *name == output.name);
        outputs.retain(|output| place(output).is_some());
        outputs.sort_by_key(place);
    }
    Answer { endpoint: response.endpoint, outputs, parameters }
}

/// What ran, and where the time went, under the names that `wisp.v1` gives them.
fn parameters(response: &InferResponse) -> Vec<(&'static str, Parameter)> {
    let mut parameters = Vec::with_capacity(10);
    if let Some(report) = &response.placement {
        parameters.push(("wisp_model", Parameter::String(report.model.to_string())));
        parameters.push(("wisp_backend", Parameter::String(report.placement.backend.to_string())));
        parameters.push(("wisp_device", Parameter::String(report.placement.device.to_string())));
        parameters.push(("wisp_precision", Parameter::String(report.precision.to_string())));
    }
    let times = &response.times;
    for (name, time) in [
        ("wisp_queue_ns", times.queue),
        ("wisp_tokenize_ns", times.tokenize),
        ("wisp_guest_ns", times.guest),
        ("wisp_gather_ns", times.gather),
        ("wisp_infer_ns", times.infer),
        ("wisp_total_ns", times.total),
    ] {
        parameters.push((name, Parameter::Int(nanoseconds(time))));
    }
    parameters
}

/// 2^63 nanoseconds are 292 years.
fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
