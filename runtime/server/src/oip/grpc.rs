//! `inference.GRPCInferenceService`.

use std::collections::HashMap;

use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use wisp_engine::{Engine, Method, Tenant};
use wisp_proto::inference as oip;
use wisp_proto::inference::grpc_inference_service_server::GrpcInferenceService;
use wisp_proto::inference::model_repository_parameter::ParameterChoice;

use super::call::{Answer, Ask, Who, call, find};
use super::error::OipError;
use super::metadata;
use super::parameters::{Parameter, Wishes, check_tensor};
use super::repository::{self, Change, Parameters};
use super::stream::{self, Answers};
use super::tensors::{Head, WireTensor};
use super::{OpenInference, VERSION, contents};
use crate::deadline::Deadline;
use crate::door::Arrived;
use crate::identity;

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl GrpcInferenceService for OpenInference {
    type ModelStreamInferStream = Answers;

    async fn server_live(&self, _: Request<oip::ServerLiveRequest>) -> Answered<oip::ServerLiveResponse> {
        Ok(Response::new(oip::ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<oip::ServerReadyRequest>) -> Answered<oip::ServerReadyResponse> {
        Ok(Response::new(oip::ServerReadyResponse { ready: metadata::is_server_ready(self) }))
    }

    async fn model_ready(&self, request: Request<oip::ModelReadyRequest>) -> Answered<oip::ModelReadyResponse> {
        let oip::ModelReadyRequest { name, version } = request.into_inner();
        Ok(Response::new(oip::ModelReadyResponse { ready: metadata::is_model_ready(self, &name, &version) }))
    }

    async fn server_metadata(&self, _: Request<oip::ServerMetadataRequest>) -> Answered<oip::ServerMetadataResponse> {
        Ok(Response::new(oip::ServerMetadataResponse {
            name: metadata::SERVER.to_owned(),
            version: metadata::server_version().to_owned(),
            extensions: metadata::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<oip::ModelMetadataRequest>,
    ) -> Answered<oip::ModelMetadataResponse> {
        tenant(&self.engine, &request)?;
        let oip::ModelMetadataRequest { name, version } = request.into_inner();
        let endpoint = find(&self.engine, &name, &version).map_err(|error| error.status())?;
        Ok(Response::new(metadata::model(&endpoint)))
    }

    async fn model_config(&self, request: Request<oip::ModelConfigRequest>) -> Answered<oip::ModelConfigResponse> {
        tenant(&self.engine, &request)?;
        let oip::ModelConfigRequest { name, version } = request.into_inner();
        let endpoint = find(&self.engine, &name, &version).map_err(|error| error.status())?;
        Ok(Response::new(oip::ModelConfigResponse { config: Some(metadata::config(&endpoint)) }))
    }

    async fn model_infer(&self, request: Request<oip::ModelInferRequest>) -> Answered<oip::ModelInferResponse> {
        let who = who(&self.engine, &request)?;
        let answered = infer(&self.engine, request.into_inner(), &who).await;
        answered.map(Response::new).map_err(|error| error.status())
    }

    async fn model_stream_infer(&self, request: Request<Streaming<oip::ModelInferRequest>>) -> Answered<Answers> {
        let who = who(&self.engine, &request)?;
        Ok(Response::new(stream::answers(self.engine.clone(), who, request.into_inner())))
    }

    async fn repository_index(
        &self,
        request: Request<oip::RepositoryIndexRequest>,
    ) -> Answered<oip::RepositoryIndexResponse> {
        tenant(&self.engine, &request)?;
        let oip::RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        let lines = repository::index(&self.engine, &repository_name, ready).map_err(|error| error.status())?;
        let models = lines.into_iter().map(|line| oip::repository_index_response::ModelIndex {
            name: line.name,
            version: line.version.to_owned(),
            state: line.state.to_owned(),
            reason: line.reason,
        });
        Ok(Response::new(oip::RepositoryIndexResponse { models: models.collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<oip::RepositoryModelLoadRequest>,
    ) -> Answered<oip::RepositoryModelLoadResponse> {
        let by = administrator(&self.engine, &request)?;
        let request = request.into_inner();
        let parameters = changes(&request.parameters).map_err(|error| error.status())?;
        let change = Change { repository: &request.repository_name, model: &request.model_name, parameters, by };
        repository::load(self, change).await.map_err(|error| error.status())?;
        Ok(Response::new(oip::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<oip::RepositoryModelUnloadRequest>,
    ) -> Answered<oip::RepositoryModelUnloadResponse> {
        let by = administrator(&self.engine, &request)?;
        let request = request.into_inner();
        let parameters = changes(&request.parameters).map_err(|error| error.status())?;
        let change = Change { repository: &request.repository_name, model: &request.model_name, parameters, by };
        repository::unload(self, change).await.map_err(|error| error.status())?;
        Ok(Response::new(oip::RepositoryModelUnloadResponse {}))
    }
}

/// The parameters of a change.
fn changes(parameters: &HashMap<String, oip::ModelRepositoryParameter>) -> Result<Parameters, OipError> {
    let mut read = Parameters::default();
    for (name, value) in parameters {
        match (name.as_str(), &value.parameter_choice) {
            (Parameters::UNLOAD_DEPENDENTS, Some(ParameterChoice::BoolParam(value))) => read.unload_dependents = *value,
            (Parameters::UNLOAD_DEPENDENTS, _) => {
                return Err(OipError::Body(format!("parameter `{name}` must be a boolean")));
            }
            _ => return Err(Parameters::unknown(name)),
        }
    }
    Ok(read)
}

/// Computes one message.
pub(crate) async fn infer(
    engine: &Engine,
    message: oip::ModelInferRequest,
    who: &Who,
) -> Result<oip::ModelInferResponse, OipError> {
    let (id, is_raw) = (message.id.clone(), !message.raw_input_contents.is_empty());
    let ask = read(engine, message)?;
    let answer = call(engine, ask, who).await?;
    Ok(write(answer, id, is_raw))
}

fn read(engine: &Engine, message: oip::ModelInferRequest) -> Result<Ask, OipError> {
    let endpoint = find(engine, &message.model_name, &message.model_version)?;
    let parameters = message.parameters.iter().map(|(name, value)| (name.as_str(), Parameter::from(value)));
    let wishes = Wishes::read(parameters, &endpoint)?;
    for output in &message.outputs {
        check_tensor(&output.name, output.parameters.keys())?;
    }
    let outputs = message.outputs.into_iter().map(|output| output.name).collect();
    let inputs = read_inputs(message.inputs, message.raw_input_contents)?;
    Ok(Ask { endpoint, inputs, outputs, wishes })
}

/// The inputs, whose elements are either all raw or all by themselves.
pub(crate) fn read_inputs(
    inputs: Vec<oip::model_infer_request::InferInputTensor>,
    raw: Vec<bytes::Bytes>,
) -> Result<Vec<WireTensor>, OipError> {
    let is_raw = !raw.is_empty();
    if is_raw && raw.len() != inputs.len() {
        return Err(OipError::RawCount { raw: raw.len(), inputs: inputs.len() });
    }
    let mut raw = raw.into_iter();
    let inputs = inputs.into_iter().map(|input| {
        check_tensor(&input.name, input.parameters.keys())?;
        let head = Head::read(&input.name, &input.datatype, &input.shape)?;
        let typed = input.contents.unwrap_or_default();
        let Some(raw) = raw.next() else { return Ok(contents::decode(head, typed)?) };
        if !contents::is_empty(&typed) {
            return Err(OipError::RawAndContents { name: input.name });
        }
        Ok(head.with_raw(raw)?)
    });
    inputs.collect()
}

/// The answer in the form of the request. Elements that have no typed form make all of it raw.
fn write(answer: Answer, id: String, is_raw: bool) -> oip::ModelInferResponse {
    let is_raw = is_raw || answer.outputs.iter().any(|output| output.datatype.is_binary_only());
    let raw_output_contents = match is_raw {
        true => answer.outputs.iter().map(WireTensor::to_raw).collect(),
        false => Vec::new(),
    };
    let outputs = answer.outputs.iter().map(|output| oip::model_infer_response::InferOutputTensor {
        name: output.name.clone(),
        datatype: output.datatype.name().to_owned(),
        shape: output.wire_shape(),
        parameters: std::collections::HashMap::new(),
        contents: if is_raw { None } else { contents::encode(output) },
    });
    let parameters = answer.parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into_message()));
    oip::ModelInferResponse {
        model_name: answer.endpoint.name.clone(),
        model_version: VERSION.to_owned(),
        id,
        parameters: parameters.collect(),
        outputs: outputs.collect(),
        raw_output_contents,
    }
}

/// Who sends the request, as the door or the request itself says.
fn who<T>(engine: &Engine, request: &Request<T>) -> Result<Who, Status> {
    let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
    let method = Method::Infer;
    match request.extensions().get::<Arrived>() {
        Some(arrived) => Ok(Who { tenant: arrived.tenant.clone(), deadline, arrived_at: arrived.at, method }),
        // The door lets pass what it does not know, for the reason to be told here.
        None => Ok(Who { tenant: tenant(engine, request)?, deadline, arrived_at: Instant::now(), method }),
    }
}

fn tenant<T>(engine: &Engine, request: &Request<T>) -> Result<Tenant, Status> {
    identity::tenant(engine, request.metadata().as_ref(), request.extensions())
}

fn administrator<T>(engine: &Engine, request: &Request<T>) -> Result<Tenant, Status> {
    repository::administrator(engine, request.metadata().as_ref(), request.extensions()).map_err(|error| error.status())
}
