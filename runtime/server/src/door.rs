//! The door: requests that would be refused whatever they ask for are answered before their message is read.
//!
//! Under overload most of what arrives is refused, on the processors that should be computing. So this layer lies outside all
//! others: it looks at the path, the token and the deadline, asks the engine, and answers with headers alone. The rest of a
//! large message is not waited for; HTTP/2 tells its sender to stop.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};
use wisp_engine::{Engine, Method, RefusalStage, Tenant};

use crate::deadline::timeout;
use crate::identity;
use crate::status::status;

/// Calls that need a place in the engine, one message each, and what they are counted as.
const CALLS: [(&str, Method); 4] = [
    ("/wisp.v1.InferenceService/Embed", Method::Embed),
    ("/wisp.v1.InferenceService/Classify", Method::Classify),
    ("/wisp.v1.InferenceService/Rerank", Method::Rerank),
    ("/inference.GRPCInferenceService/ModelInfer", Method::Infer),
];

/// What the door found out about a request that it let pass; an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// When the head of the request was there.
    pub(crate) at: Instant,
    /// Who sends it.
    pub(crate) tenant: Tenant,
}

/// Adds [`DoorService`].
#[derive(Clone)]
pub(crate) struct DoorLayer {
    pub(crate) engine: Engine,
}

/// Refuses at the door, or passes on.
#[derive(Clone)]
pub(crate) struct DoorService<S> {
    inner: S,
    engine: Engine,
}

/// The answer of the door, or that of the service behind it.
pub(crate) enum Answer<F> {
    /// Refused; nothing once it was taken.
    Refused(Option<Response<Body>>),
    /// Passed on.
    Passed(F),
}

impl<S> Layer<S> for DoorLayer {
    type Service = DoorService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DoorService { inner, engine: self.engine.clone() }
    }
}

impl<S, RequestBody> Service<Request<RequestBody>> for DoorService<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let call = CALLS.iter().find(|(path, _)| *path == request.uri().path());
        let Some(&(_, method)) = call.filter(|_| request.method() == http::Method::POST) else {
            return Answer::Passed(self.inner.call(request));
        };
        let at = Instant::now();
        // Whose token is wrong is told so by the service.
        if let Ok(tenant) = identity::tenant(&self.engine, request.headers(), request.extensions()) {
            let deadline = timeout(request.headers()).map(|timeout| at + timeout);
            if let Err(error) = self.engine.check_at_door(method, Some(&tenant), deadline) {
                let response = status(&error).into_http();
                self.engine.refusal_told(RefusalStage::Door, at.elapsed());
                return Answer::Refused(Some(response));
            }
            request.extensions_mut().insert(Arrived { at, tenant });
        }
        Answer::Passed(self.inner.call(request))
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Refused(response) => Poll::Ready(Ok(response.take().expect("a future is not polled after its end"))),
            Self::Passed(answer) => Pin::new(answer).poll(context),
        }
    }
}
