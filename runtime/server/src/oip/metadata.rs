//! What the server, a deployment and a model say of themselves.

use wisp_core::Axis;
use wisp_engine::{Endpoint, EndpointKind, ValueSpec};
use wisp_proto::inference as oip;

use super::call::find;
use super::datatype::Datatype;
use super::{OpenInference, VERSION};

/// The name of the server.
pub(crate) const SERVER: &str = "wisp";

/// What the server does beyond the protocol, in the words that Triton has for it.
pub(crate) const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "schedule_policy"];

/// The platform of deployments; models have their backend.
const GUEST_PLATFORM: &str = "wasm";

/// The version of the server.
pub(crate) fn server_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Whether the server takes requests and something it serves can answer.
pub(crate) fn is_server_ready(service: &OpenInference) -> bool {
    service.engine.endpoints().iter().any(|endpoint| is_model_ready(service, &endpoint.name, ""))
}

/// Whether this can answer. What is not there cannot: who asks may be waiting for it to come.
pub(crate) fn is_model_ready(service: &OpenInference, model: &str, version: &str) -> bool {
    let engine = &service.engine;
    !service.draining.is_cancelled()
        && find(engine, model, version).is_ok()
        && matches!(engine.endpoint_problem(model), Ok(None))
}

/// What answers under a name, for `ModelMetadata`.
pub(crate) fn model(endpoint: &Endpoint) -> oip::ModelMetadataResponse {
    let tensors = |specs: &[ValueSpec]| {
        let tensor = |spec: &ValueSpec| oip::model_metadata_response::TensorMetadata {
            name: spec.name.clone(),
            datatype: Datatype::from(spec.value_type).name().to_owned(),
            shape: shape(&spec.shape),
        };
        specs.iter().map(tensor).collect()
    };
    let properties = endpoint.properties.iter().map(|(&name, value)| (name.to_owned(), value.clone()));
    oip::ModelMetadataResponse {
        name: endpoint.name.clone(),
        versions: vec![VERSION.to_owned()],
        platform: platform(endpoint).to_owned(),
        inputs: tensors(&endpoint.inputs),
        outputs: tensors(&endpoint.outputs),
        properties: properties.collect(),
    }
}

/// The same, for `ModelConfig`. Where rows are the first axis of everything, Triton's configuration leaves that axis out.
pub(crate) fn config(endpoint: &Endpoint) -> oip::ModelConfig {
    let (max_rows, shares_rows) = match endpoint.kind {
        EndpointKind::Embedder | EndpointKind::Classifier => (0, false),
        EndpointKind::Model { max_rows, shares_rows } => (max_rows, shares_rows),
    };
    let dims = |spec: &ValueSpec| shape(&spec.shape[usize::from(max_rows > 0)..]);
    let data_type = |spec: &ValueSpec| Datatype::from(spec.value_type).in_configuration().into();
    let input =
        |spec: &ValueSpec| oip::ModelInput { name: spec.name.clone(), data_type: data_type(spec), dims: dims(spec) };
    let output =
        |spec: &ValueSpec| oip::ModelOutput { name: spec.name.clone(), data_type: data_type(spec), dims: dims(spec) };
    let shared = || oip::model_config::SchedulingChoice::DynamicBatching(oip::ModelDynamicBatching::default());
    oip::ModelConfig {
        name: endpoint.name.clone(),
        platform: platform(endpoint).to_owned(),
        backend: platform(endpoint).to_owned(),
        max_batch_size: i32::try_from(max_rows).unwrap_or(i32::MAX),
        input: endpoint.inputs.iter().map(input).collect(),
        output: endpoint.outputs.iter().map(output).collect(),
        scheduling_choice: shares_rows.then(shared),
    }
}

fn platform(endpoint: &Endpoint) -> &str {
    match endpoint.kind {
        EndpointKind::Embedder | EndpointKind::Classifier => GUEST_PLATFORM,
        EndpointKind::Model { .. } => endpoint.properties.get("backend").map_or("", String::as_str),
    }
}

/// A shape as the protocol writes it: -1 for an axis of any length.
fn shape(axes: &[Axis]) -> Vec<i64> {
    let axis = |axis: &Axis| match axis {
        Axis::Free => -1,
        Axis::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
    };
    axes.iter().map(axis).collect()
}
