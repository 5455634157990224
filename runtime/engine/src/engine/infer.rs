//! Tensors by name: to the guest of a deployment, or to a model without one.

mod classify;
mod strings;

use std::sync::Arc;

use tokio::time::Instant;
use wisp_core::{NamedTensor, Tensor};
use wisp_scheduler::{Caller, Origin};

use super::generation::Generation;
use super::{Engine, report};
use crate::endpoint::{BareModel, EMBEDDINGS_OUTPUT, LIMIT_WITHOUT_GUEST, TEXTS_INPUT, TOKEN_COUNTS_OUTPUT, Target};
use crate::infer::InputError;
use crate::metrics::Leaving;
use crate::shelf::Shelf;
use crate::trace;
use crate::{
    EmbedInputs, EmbedRequest, EmbedResponse, Endpoint, EndpointKind, EngineError, InferRequest, InferResponse,
    InferTensor, Prompt, RequestTimes, Values,
};

impl Engine {
    /// Sends tensors to a deployment or a model. Dropping the future cancels the request wherever it is.
    ///
    /// # Errors
    /// [`EngineError`]; its [`kind`](wisp_core::Kinded::kind) says what a caller can do about it.
    pub async fn infer(&self, request: InferRequest) -> Result<InferResponse, EngineError> {
        let arrived_at = Instant::now();
        let generation = self.shared.generation();
        let (method, metrics) = (request.method, &self.shared.metrics);
        let refused = |name: &str, error: &EngineError| {
            metrics.failed_by(name, method, error);
            trace::failed(error);
        };
        let target = generation.endpoints.named(&request.name);
        let Target { endpoint, model } = target.inspect_err(|error| refused("", error))?;
        let Some(model) = model else {
            let unfit = |error| {
                let error = EngineError::Input(error);
                refused(&endpoint.name, &error);
                error
            };
            return Ok(if endpoint.kind == EndpointKind::Classifier {
                let request = classify::request(endpoint, request).map_err(unfit)?;
                classify::answer(endpoint, self.classify(request).await?)
            } else {
                let request = embed_request(endpoint, request).map_err(unfit)?;
                answer(endpoint, self.embed(request).await?)
            });
        };
        trace::asked(method, request.inputs.len());
        trace::answers(&endpoint.name);
        generation.shelf.check(&endpoint.name).inspect_err(|error| refused(&endpoint.name, error))?;
        let leaving = Leaving::of(metrics, &model.metrics, method, request.deadline);
        let answer = self.infer_bare(&generation, endpoint, model, request, arrived_at).await;
        leaving.answered();
        match &answer {
            Ok(answer) => {
                metrics.answered_in(&model.metrics, method, answer.times.total);
                trace::ran(answer.placement.as_ref());
            }
            Err(error) => refused(&endpoint.name, error),
        }
        answer
    }

    /// Everything that tensors can be sent to, in the order of the names.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.shared.generation().endpoints.iter().map(|target| Arc::clone(&target.endpoint)).collect()
    }

    /// What this deployment or model takes and gives.
    ///
    /// # Errors
    /// [`EngineError::UnknownEndpoint`].
    pub fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, EngineError> {
        Ok(Arc::clone(&self.shared.generation().endpoints.named(name)?.endpoint))
    }

    /// Why this deployment or model cannot answer now; `None` when it can.
    ///
    /// # Errors
    /// [`EngineError::UnknownEndpoint`].
    pub fn endpoint_problem(&self, name: &str) -> Result<Option<String>, EngineError> {
        let generation = self.shared.generation();
        let target = generation.endpoints.named(name)?;
        if self.is_draining() {
            return Ok(Some(EngineError::Draining.to_string()));
        }
        if generation.shelf.has(name) {
            return Ok(Some(Shelf::PROBLEM.to_owned()));
        }
        Ok(match &target.model {
            Some(model) => model.problem(),
            None => generation.deployment(Some(name))?.health(&generation.shelf).problem,
        })
    }

    async fn infer_bare(
        &self,
        generation: &Generation,
        endpoint: &Arc<Endpoint>,
        model: &BareModel,
        request: InferRequest,
        arrived_at: Instant,
    ) -> Result<InferResponse, EngineError> {
        let InferRequest { inputs, deadline, lane, tenant, .. } = request;
        let tenant = tenant.unwrap_or_else(|| generation.tenants.anonymous().clone());
        let _permit = self.admit(lane, &tenant)?;
        let inputs = tensors(endpoint, inputs).map_err(EngineError::Input)?;
        model.check_size(&inputs).map_err(EngineError::Input)?;
        let end = arrived_at + LIMIT_WITHOUT_GUEST;
        let deadline = deadline.map_or(end, |deadline| deadline.min(end));
        let caller = Caller { lane, tenant, origin: Origin::default() };
        let inferred = model.granted.queue.infer(inputs, &caller, Some(deadline), None).await;
        let inferred = inferred.map_err(EngineError::Inference)?;
        let times = RequestTimes {
            queue: inferred.times.queue,
            gather: inferred.times.gather,
            infer: inferred.times.infer,
            total: arrived_at.elapsed(),
            ..RequestTimes::default()
        };
        let outputs = inferred.outputs.into_iter();
        Ok(InferResponse {
            endpoint: Arc::clone(endpoint),
            outputs: outputs.map(|it| InferTensor { name: it.name, values: Values::Numbers(it.tensor) }).collect(),
            times,
            share: inferred.share,
            placement: Some(report(&model.granted)),
        })
    }
}

/// Tensors as the request that a guest which embeds knows.
fn embed_request(endpoint: &Endpoint, request: InferRequest) -> Result<EmbedRequest, InputError> {
    let InferRequest { name, inputs, embed: options, deadline, lane, tenant, method, .. } = request;
    let texts = texts(endpoint, inputs)?;
    let (deployment, inputs, prompt) = (Some(name), EmbedInputs::Texts(texts), Prompt::default());
    Ok(EmbedRequest { deployment, inputs, prompt, options, deadline, lane, tenant, method })
}

/// The one input of a guest that embeds.
fn texts(endpoint: &Endpoint, inputs: Vec<InferTensor>) -> Result<Vec<String>, InputError> {
    let mut given = strings::by_name(endpoint, inputs)?;
    let texts = given.remove(TEXTS_INPUT).ok_or_else(|| InputError::Missing {
        endpoint: endpoint.name.clone(),
        name: TEXTS_INPUT.to_owned(),
        expected: endpoint.input_names(),
    })?;
    strings::utf8(texts, |index| InputError::NotUtf8 { index })
}

/// The inputs of a model, as far as they are numbers.
fn tensors(endpoint: &Endpoint, inputs: Vec<InferTensor>) -> Result<Vec<NamedTensor>, InputError> {
    let tensors = inputs.into_iter().map(|InferTensor { name, values }| match values {
        Values::Numbers(tensor) => Ok(NamedTensor { name, tensor }),
        Values::Strings { .. } | Values::Counts(_) => Err(match endpoint.input(&name) {
            Some(spec) => InputError::Type { endpoint: endpoint.name.clone(), name, expected: spec.value_type },
            None => InputError::Unknown { endpoint: endpoint.name.clone(), name, expected: endpoint.input_names() },
        }),
    });
    tensors.collect()
}

/// The vectors of a guest as tensors.
fn answer(endpoint: &Arc<Endpoint>, embedded: EmbedResponse) -> InferResponse {
    let EmbedResponse { values, dimensions, token_counts, times, share, placement } = embedded;
    let shape = [values.len().checked_div(dimensions).unwrap_or(0), dimensions];
    let vectors = Tensor::from_slice(&shape, &values).expect("the host has checked that values are rows of dimensions");
    let outputs = vec![
        InferTensor { name: EMBEDDINGS_OUTPUT.to_owned(), values: Values::Numbers(vectors) },
        InferTensor { name: TOKEN_COUNTS_OUTPUT.to_owned(), values: Values::Counts(token_counts) },
    ];
    InferResponse { endpoint: Arc::clone(endpoint), outputs, times, share, placement }
}
