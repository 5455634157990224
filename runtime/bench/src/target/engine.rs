//! The engine in this process: a guest for each request, and no protocol.

use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{ErrorKind, Kinded};
use wisp_engine::{BatchShare, EmbedRequest, EmbedResponse, Engine};

use crate::answer::{Answer, Batching, Failure, FailureKind, Lane, PlacementFacts, Question, Stages};

/// A deployment of an engine.
#[derive(Clone)]
pub struct EngineTarget {
    /// The engine.
    pub engine: Engine,
    /// The deployment; `None` for the engine's default.
    pub deployment: Option<String>,
    /// Longest time that an answer is waited for.
    pub timeout: Duration,
}

impl EngineTarget {
    pub(super) async fn embed(&self, question: Question) -> Result<Answer, Failure> {
        let request = EmbedRequest {
            deployment: self.deployment.clone(),
            deadline: Some(Instant::now() + self.timeout),
            lane: lane(question.lane),
            ..EmbedRequest::texts(question.texts)
        };
        match self.engine.embed(request).await {
            Ok(response) => Ok(answer(&response)),
            Err(error) => Err(failure(error.kind(), error.to_string(), error.retry_after())),
        }
    }
}

/// A failure inside this process, by the same words as the protocol has.
pub(super) fn failure(kind: ErrorKind, message: String, retry_after: Option<Duration>) -> Failure {
    let (meaning, code) = match kind {
        ErrorKind::ResourceExhausted => (FailureKind::Refused, "RESOURCE_EXHAUSTED"),
        ErrorKind::Unavailable => (FailureKind::Refused, "UNAVAILABLE"),
        ErrorKind::InvalidArgument | ErrorKind::TooLarge => (FailureKind::Failed, "INVALID_ARGUMENT"),
        ErrorKind::NotFound => (FailureKind::Failed, "NOT_FOUND"),
        ErrorKind::PermissionDenied => (FailureKind::Failed, "PERMISSION_DENIED"),
        ErrorKind::DeadlineExceeded => (FailureKind::Failed, "DEADLINE_EXCEEDED"),
        ErrorKind::Cancelled => (FailureKind::Failed, "CANCELLED"),
        ErrorKind::Unsupported => (FailureKind::Failed, "UNIMPLEMENTED"),
        ErrorKind::Internal => (FailureKind::Failed, "INTERNAL"),
    };
    Failure { kind: meaning, code: code.to_owned(), message, retry_after }
}

fn answer(response: &EmbedResponse) -> Answer {
    let times = &response.times;
    Answer {
        vectors: response.vectors().map(<[f32]>::to_vec).collect(),
        tokens: response.token_counts.iter().map(|&tokens| u64::from(tokens)).sum(),
        stages: Some(Stages {
            queue: nanoseconds(times.queue),
            tokenize: nanoseconds(times.tokenize),
            guest: nanoseconds(times.guest),
            gather: nanoseconds(times.gather),
            infer: nanoseconds(times.infer),
            total: nanoseconds(times.total),
        }),
        placement: response.placement.as_ref().map(|report| PlacementFacts {
            name: format!("{} on {}, {}", report.model, report.placement, report.precision),
            precision: Some(report.precision),
        }),
        batching: Some(batching(&response.share)),
    }
}

/// The engine's word for a lane.
pub(super) fn lane(lane: Lane) -> wisp_engine::Lane {
    match lane {
        Lane::Unnamed | Lane::Interactive => wisp_engine::Lane::Interactive,
        Lane::Bulk => wisp_engine::Lane::Bulk,
    }
}

/// What the inferences of a request were shared with.
pub(super) fn batching(share: &BatchShare) -> Batching {
    let &BatchShare { inferences, rows, tokens, padded_tokens } = share;
    Batching { inferences, rows, tokens, padded_tokens }
}

/// Nanoseconds; 2^64 of them are 584 years.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
