//! `wisp.v1.InferenceService`: Classify and ClassifyStream.

mod message;
mod stream;

use tonic::{Request, Response, Status, Streaming};
use wisp_engine::{Engine, Method};
use wisp_proto::v1;

use crate::caller::Caller;
use crate::refusal::Refusal;
pub(crate) use stream::ClassifyAnswers;

/// Answers one message.
pub(crate) async fn classify(
    engine: &Engine,
    request: Request<v1::ClassifyRequest>,
) -> Result<Response<v1::ClassifyResponse>, Status> {
    let caller = Caller::of(engine, &request)?;
    let answered = answer(engine, &caller, Method::Classify, request.into_inner()).await;
    answered.map(Response::new).map_err(|refusal| refusal.of_call(engine, &caller, "classify"))
}

/// Answers one message after the other.
pub(crate) fn classify_stream(
    engine: &Engine,
    request: Request<Streaming<v1::ClassifyRequest>>,
) -> Result<Response<ClassifyAnswers>, Status> {
    let caller = Caller::of(engine, &request)?;
    Ok(Response::new(stream::answer(engine.clone(), caller, request.into_inner())))
}

async fn answer(
    engine: &Engine,
    caller: &Caller,
    method: Method,
    message: v1::ClassifyRequest,
) -> Result<v1::ClassifyResponse, Refusal> {
    let mut request = message::from_message(message).map_err(Refusal::Message)?;
    (request.deadline, request.tenant, request.method) = (caller.deadline, Some(caller.tenant.clone()), method);
    let response = engine.classify(request).await.map_err(Refusal::Engine)?;
    Ok(message::to_message(response))
}
