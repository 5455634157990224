//! `ClassifyStream`.

use tonic::Streaming;
use wisp_engine::{Engine, Method};
use wisp_proto::v1;
use wisp_proto::v1::classify_stream_response::Outcome;

use crate::caller::Caller;
use crate::in_order::{Answers, in_order};

/// Messages of one stream that are worked on at one time.
const INFLIGHT: usize = 8;

/// The answers to a stream of messages.
pub(crate) type ClassifyAnswers = Answers<v1::ClassifyStreamResponse>;

/// Answers `messages` for `caller`.
pub(super) fn answer(engine: Engine, caller: Caller, messages: Streaming<v1::ClassifyRequest>) -> ClassifyAnswers {
    in_order(INFLIGHT, messages, move |message| {
        let (engine, caller) = (engine.clone(), caller.clone());
        async move {
            let outcome = match super::answer(&engine, &caller, Method::ClassifyStream, message).await {
                Ok(response) => Outcome::Response(response),
                Err(refusal) => Outcome::Error(refusal.in_place(caller.deadline)?),
            };
            Ok(v1::ClassifyStreamResponse { outcome: Some(outcome) })
        }
    })
}
