//! `wisp.v1.InferenceService`: Classify and ClassifyStream.

mod message;
mod stream;

use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use wisp_engine::{Engine, EngineError, Method, Tenant};
use wisp_proto::v1;

use crate::deadline::Deadline;
use crate::door::Arrived;
use crate::identity;
use crate::status::status;
pub(crate) use stream::ClassifyAnswers;

/// What is known of a call beside its messages.
#[derive(Clone, Debug)]
struct Caller {
    /// When the client stops waiting.
    deadline: Option<Instant>,
    /// When the head of the request was there, where the door has looked.
    arrived_at: Option<Instant>,
    tenant: Tenant,
}

/// Why a message is not answered.
enum Refusal {
    /// It cannot be meant.
    Message(Status),
    /// The engine refuses it.
    Engine(EngineError),
}

/// Answers one message.
pub(crate) async fn classify(
    engine: &Engine,
    request: Request<v1::ClassifyRequest>,
) -> Result<Response<v1::ClassifyResponse>, Status> {
    let caller = Caller::of(engine, &request)?;
    match answer(engine, &caller, Method::Classify, request.into_inner()).await {
        Ok(response) => Ok(Response::new(response)),
        Err(Refusal::Message(status)) => Err(status),
        Err(Refusal::Engine(error)) => {
            let status = status(&error);
            if let (Some(stage), Some(arrived_at)) = (error.refused_at(), caller.arrived_at) {
                engine.refusal_told(stage, arrived_at.elapsed());
            }
            tracing::debug!(code = ?status.code(), "classify failed: {error}");
            Err(status)
        }
    }
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

impl Caller {
    fn of<T>(engine: &Engine, request: &Request<T>) -> Result<Self, Status> {
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let (arrived_at, tenant) = match request.extensions().get::<Arrived>() {
            Some(arrived) => (Some(arrived.at), arrived.tenant.clone()),
            // The door lets pass what it does not know, for the reason to be told here.
            None => (None, identity::tenant(engine, request.metadata().as_ref(), request.extensions())?),
        };
        Ok(Self { deadline, arrived_at, tenant })
    }
}
