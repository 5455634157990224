//! `wisp.v1.InferenceService/Embed`.

use std::time::Duration;

use tonic::{Request, Response, Status, Streaming};
use wisp_engine::{BatchShare, EmbedRequest, EmbedResponse, Engine, Lane, PlacementReport, RequestTimes};
use wisp_proto::v1;
use wisp_proto::v1::inference_service_server::InferenceService;

use crate::classify::{self, ClassifyAnswers};
use crate::deadline::Deadline;
use crate::door::Arrived;
use crate::identity;
use crate::status::status;

/// The service over an engine.
pub(crate) struct Inference {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl InferenceService for Inference {
    type ClassifyStreamStream = ClassifyAnswers;

    async fn classify(&self, request: Request<v1::ClassifyRequest>) -> Result<Response<v1::ClassifyResponse>, Status> {
        classify::classify(&self.engine, request).await
    }

    async fn classify_stream(
        &self,
        request: Request<Streaming<v1::ClassifyRequest>>,
    ) -> Result<Response<ClassifyAnswers>, Status> {
        classify::classify_stream(&self.engine, request)
    }

    async fn embed(&self, request: Request<v1::EmbedRequest>) -> Result<Response<v1::EmbedResponse>, Status> {
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let (arrived_at, tenant) = match request.extensions().get::<Arrived>() {
            Some(arrived) => (Some(arrived.at), arrived.tenant.clone()),
            // The door lets pass what it does not know, for the reason to be told here.
            None => (None, identity::tenant(&self.engine, request.metadata().as_ref(), request.extensions())?),
        };
        let request = EmbedRequest { deadline, tenant: Some(tenant), ..from_message(request.into_inner())? };
        match self.engine.embed(request).await {
            Ok(response) => Ok(Response::new(to_message(&response))),
            Err(error) => {
                let status = status(&error);
                if let (Some(stage), Some(arrived_at)) = (error.refused_at(), arrived_at) {
                    self.engine.refusal_told(stage, arrived_at.elapsed());
                }
                tracing::debug!(code = ?status.code(), "embed failed: {error}");
                Err(status)
            }
        }
    }
}

fn from_message(message: v1::EmbedRequest) -> Result<EmbedRequest, Status> {
    let priority = message.priority();
    if priority as i32 != message.priority {
        return Err(Status::invalid_argument(format!("priority {} does not exist", message.priority)));
    }
    let mut request = EmbedRequest::texts(message.texts);
    request.deployment = Some(message.deployment).filter(|name| !name.is_empty());
    request.options.normalize = message.normalize.unwrap_or(request.options.normalize);
    request.options.truncate = message.truncate.unwrap_or(request.options.truncate);
    request.options.dimensions = message.dimensions;
    request.lane = match priority {
        v1::Priority::Unspecified | v1::Priority::Interactive => Lane::Interactive,
        v1::Priority::Bulk => Lane::Bulk,
    };
    Ok(request)
}

fn to_message(response: &EmbedResponse) -> v1::EmbedResponse {
    let embeddings = response.vectors().zip(&response.token_counts);
    v1::EmbedResponse {
        embeddings: embeddings.map(|(vector, &tokens)| v1::Embedding { values: vector.to_vec(), tokens }).collect(),
        usage: Some(v1::Usage { tokens: response.token_counts.iter().map(|&tokens| u64::from(tokens)).sum() }),
        timing: Some(timing(&response.times)),
        placement: response.placement.as_ref().map(placement),
        batching: Some(batching(&response.share)),
    }
}

pub(crate) fn placement(report: &PlacementReport) -> v1::Placement {
    v1::Placement {
        model: report.model.to_string(),
        backend: report.placement.backend.to_string(),
        device: report.placement.device.to_string(),
        precision: report.precision.to_string(),
    }
}

pub(crate) fn batching(share: &BatchShare) -> v1::Batching {
    let &BatchShare { inferences, rows, tokens, padded_tokens } = share;
    v1::Batching { inferences, rows, tokens, padded_tokens }
}

pub(crate) fn timing(times: &RequestTimes) -> v1::Timing {
    // 2^64 nanoseconds are 584 years.
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    v1::Timing {
        queue_ns: nanoseconds(times.queue),
        tokenize_ns: nanoseconds(times.tokenize),
        guest_ns: nanoseconds(times.guest),
        gather_ns: nanoseconds(times.gather),
        infer_ns: nanoseconds(times.infer),
        total_ns: nanoseconds(times.total),
    }
}
