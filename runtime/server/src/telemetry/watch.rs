//! Watching requests: from the head of each to the end of its answer.
//!
//! Whoever serves requests puts [`WatchLayer`] outside of everything else, or asks [`Watch`] itself. Most requests are not
//! sampled; for them nothing is allocated, and a failure is all that is ever said of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, Request, Response};
use http_body::Body;
use tower::{Layer, Service};
use wisp_engine::observe::{self, Observer, SpanIds};

use super::context::{self, TRACERESPONSE};
use super::failures::Failures;
use super::recorder::Recorder;
use super::request::{Outcome, RequestSpan, is_grpc};
use super::sampling::Sampler;
use super::span::Spans;
use super::watch_body::WatchedBody;

/// Watches requests. Clones share what they have.
#[derive(Clone)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    tracing: Option<(Sampler, Arc<Spans>)>,
    failures: Failures,
}

/// A request that is on its way. Dropped before it has an answer, it counts as given up by its client.
pub(crate) struct Watched {
    watch: Watch,
    span: Option<(Arc<RequestSpan>, Arc<dyn Observer>)>,
    /// The trace that it belongs to, sampled or not.
    trace: Option<SpanIds>,
    /// Method and path, where somebody reads them.
    what: Option<String>,
    is_grpc: bool,
    is_over: bool,
}

/// Adds [`WatchService`] to what answers gRPC.
#[derive(Clone)]
pub(crate) struct WatchLayer {
    pub(crate) watch: Watch,
}

/// Watches what goes through it.
#[derive(Clone)]
pub(crate) struct WatchService<S> {
    inner: S,
    watch: Watch,
}

/// An answer that is watched while it is made.
pub(crate) struct Watching<F> {
    answer: F,
    watched: Option<Watched>,
}

impl Watch {
    pub(super) fn new(sampler: Sampler, spans: Arc<Spans>) -> Self {
        Self { shared: Arc::new(Shared { tracing: Some((sampler, spans)), failures: Failures::new() }) }
    }

    /// Tells of failures, and records nothing.
    pub(crate) fn failures_only() -> Self {
        Self { shared: Arc::new(Shared { tracing: None, failures: Failures::new() }) }
    }

    /// A request arrived.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Watched {
        let parent = context::parent(request.headers());
        let span = self.shared.tracing.as_ref().and_then(|(sampler, spans)| {
            let trace = parent.map_or_else(|| spans.new_trace(), |parent| parent.ids.trace);
            let is_taken = sampler.takes(parent, trace);
            is_taken.then(|| RequestSpan::begin(request, trace, parent, spans))
        });
        let is_read = tracing::enabled!(tracing::Level::DEBUG);
        Watched {
            watch: self.clone(),
            trace: span.as_ref().map(|span| span.ids).or(parent.map(|parent| parent.ids)),
            span: span.map(|span| (Arc::clone(&span), Arc::new(Recorder::of(span)) as Arc<dyn Observer>)),
            what: is_read.then(|| format!("{} {}", request.method(), request.uri().path())),
            is_grpc: is_grpc(request.headers()),
            is_over: false,
        }
    }
}

impl Watched {
    /// Who is told what becomes of it; nobody, when it is not sampled.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.span.as_ref().map(|(_, observer)| Arc::clone(observer))
    }

    /// The head of the answer is there; the request is over with the answer's body.
    pub(crate) fn answered<B: Body>(mut self, mut response: Response<B>) -> Response<WatchedBody<B>> {
        let status = self.head(&mut response);
        response.map(|body| WatchedBody::new(body, self, status))
    }

    /// As [`Watched::answered`]; the answer to a request that is not sampled is left as it is, for its transport would
    /// allocate for a body that is wrapped. What goes wrong in a stream after its head is not told of then.
    fn answered_grpc(mut self, mut response: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
        let status = self.head(&mut response);
        if self.span.is_none() {
            self.is_over = true;
            return response;
        }
        response.map(|body| tonic::body::Body::new(WatchedBody::new(body, self, status)))
    }

    /// Looks at the head of the answer, and returns how the request ends if its body says nothing else.
    fn head<B: Body>(&mut self, response: &mut Response<B>) -> Outcome {
        if let Some((span, _)) = &self.span
            && let Some(value) = context::header(span.ids)
        {
            response.headers_mut().insert(HeaderName::from_static(TRACERESPONSE), value);
        }
        let status = Outcome::Http(response.status().as_u16());
        let outcome = match self.is_grpc {
            true => Outcome::of_grpc(response.headers()),
            false => response.body().is_end_stream().then(|| status.clone()),
        };
        // Errors of gRPC stand in the head, and what HTTP answers without a body is over with it.
        if let Some(outcome) = outcome {
            self.end(&outcome);
        }
        status
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    pub(super) fn end(&mut self, outcome: &Outcome) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if let Some((span, _)) = &self.span {
            span.end(outcome);
        }
        self.watch.shared.failures.tell(self.what.as_deref(), self.trace, outcome);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end(&Outcome::Left);
    }
}

impl<S> Layer<S> for WatchLayer {
    type Service = WatchService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchService { inner, watch: self.watch.clone() }
    }
}

impl<S, RequestBody> Service<Request<RequestBody>> for WatchService<S>
where
    S: Service<Request<RequestBody>, Response = Response<tonic::body::Body>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Watching<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let watched = self.watch.begin(&request);
        let answer = observe::observed_now(watched.observer(), || self.inner.call(request));
        Watching { answer, watched: Some(watched) }
    }
}

impl<F, E> Future for Watching<F>
where
    F: Future<Output = Result<Response<tonic::body::Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let observer = self.watched.as_ref().and_then(Watched::observer);
        let answer = Pin::new(&mut self.answer);
        let polled = observe::observed_now(observer, || answer.poll(context));
        polled.map_ok(|response| {
            let watched = self.watched.take().expect("a future is not polled after its end");
            watched.answered_grpc(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ServerMetrics;
    use crate::telemetry::export;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";

    fn request(flags: &str) -> Request<()> {
        let request = Request::builder().uri("/a/b").header("content-type", "application/grpc");
        request.header("traceparent", format!("{TRACEPARENT}{flags}")).body(()).expect("a request")
    }

    #[tokio::test]
    async fn only_a_request_that_is_sampled_is_observed_and_its_span_is_one() {
        let (queue, mut waiting) = export::queue(8, ServerMetrics::new().spans);
        let sampler = Sampler { ratio: 0.0, is_parent_based: true };
        let watch = Watch::new(sampler, Arc::new(Spans::new(queue)));
        let is_observed = tower::service_fn(|_: Request<()>| {
            let is_observed = observe::current().is_some();
            let response = Response::builder().header("is-observed", is_observed.to_string());
            std::future::ready(response.body(tonic::body::Body::empty()))
        });
        let mut service = WatchLayer { watch }.layer(is_observed);
        for (flags, expected) in [("00", "false"), ("01", "true")] {
            let response = service.call(request(flags)).await.expect("answers");
            assert_eq!(response.headers()["is-observed"], expected);
            assert_eq!(response.headers().contains_key(TRACERESPONSE), expected == "true");
        }
        let span = waiting.try_recv().expect("the second one was sampled, and dropped before its end");
        assert_eq!(span.name, "a/b");
        assert!(span.attributes.iter().any(|attribute| attribute.key.as_str() == "error.type"), "{span:?}");
        assert!(waiting.try_recv().is_err(), "and no other");
    }
}
