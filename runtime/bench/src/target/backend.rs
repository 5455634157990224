//! The model of a deployment without its guest: tokenised here, computed by the session, its pooled output read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wisp_core::{ErrorKind, Kinded};
use wisp_engine::Engine;
use wisp_host::GrantedModel;
use wisp_scheduler::Caller;

use super::engine::{batching, failure, lane, nanoseconds};
use crate::BenchError;
use crate::answer::{Answer, Failure, PlacementFacts, Question, Stages};

/// A model that pools inside its session, of a running engine.
#[derive(Clone)]
pub struct BackendTarget {
    model: Arc<GrantedModel>,
    output: String,
    timeout: Duration,
    caller: Caller,
}

impl BackendTarget {
    /// The only model that `deployment` is granted.
    ///
    /// # Errors
    /// [`BenchError::NoBackend`] when there is not exactly one, or it does not make embeddings by itself.
    pub fn new(engine: &Engine, deployment: &str, timeout: Duration) -> Result<Self, BenchError> {
        let refused =
            |reason: &str| BenchError::NoBackend { deployment: deployment.to_owned(), reason: reason.to_owned() };
        let (_, _, grants) = engine.guest(deployment).ok_or_else(|| refused("it does not exist"))?;
        let mut models = grants.iter();
        let (Some((_, model)), None) = (models.next(), models.next()) else {
            return Err(refused("its guest has not exactly one model"));
        };
        if model.tokenizer.is_none() {
            return Err(refused("its model has no tokenizer"));
        }
        let fused = model.queue.info().fused_outputs.iter().find(|output| output.is_normalized);
        let output = fused.ok_or_else(|| refused("its model does not pool inside the session"))?.name.clone();
        Ok(Self { model: Arc::clone(model), output, timeout, caller: Caller::default() })
    }

    pub(super) async fn embed(&self, question: Question) -> Result<Answer, Failure> {
        let started_at = Instant::now();
        let deadline = tokio::time::Instant::from_std(started_at) + self.timeout;
        let internal = |message: &str| failure(ErrorKind::Internal, message.to_owned(), None);
        let tokenizer = self.model.tokenizer.as_ref().ok_or_else(|| internal("the tokenizer is gone"))?;
        let broken = |error: wisp_host::TokenizerError| failure(error.kind(), error.to_string(), None);
        let ids = tokenizer.encode(question.texts, true, true).map_err(broken)?;
        let rows: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let inputs = tokenizer.tensors(&rows).map_err(broken)?;
        let tokenize = started_at.elapsed();
        let caller = Caller { lane: lane(question.lane), ..self.caller.clone() };
        let inferred = self.model.queue.infer(inputs, &caller, Some(deadline), None).await;
        let inferred = inferred.map_err(|error| failure(error.kind(), error.to_string(), None))?;
        let output = inferred.outputs.iter().find(|output| output.name == self.output);
        let tensor = &output.ok_or_else(|| internal("the pooled output is missing"))?.tensor;
        let values = tensor.view::<f32>().map_err(|error| internal(&error.to_string()))?;
        let dimensions = tensor.shape().last().copied().unwrap_or(1).max(1);
        let session = self.model.queue.info();
        Ok(Answer {
            vectors: values.chunks_exact(dimensions).map(<[f32]>::to_vec).collect(),
            tokens: ids.iter().map(|row| row.len() as u64).sum(),
            stages: Some(Stages {
                queue: nanoseconds(inferred.times.queue),
                tokenize: nanoseconds(tokenize),
                guest: 0,
                gather: nanoseconds(inferred.times.gather),
                infer: nanoseconds(inferred.times.infer),
                total: nanoseconds(started_at.elapsed()),
            }),
            placement: Some(PlacementFacts {
                name: format!("{} on {}, {}", self.model.name, session.placement, session.precision),
                precision: Some(session.precision),
            }),
            batching: Some(batching(&inferred.share)),
        })
    }
}
