//! Watching requests: from the head of each to the end of its answer.
//!
//! Most requests are not sampled; for them nothing is allocated, and a failure is all that is ever said of them.

use std::sync::Arc;

use http::{HeaderName, Request, Response};
use http_body::Body;
use wisp_engine::observe::{Observer, SpanIds};

use super::context::{self, TRACERESPONSE};
use super::failures::Failures;
use super::recorder::Recorder;
use super::request::{Outcome, RequestSpan, is_grpc};
use super::sampling::Sampler;
use super::span::Spans;
use super::watch_body::WatchedBody;

/// Calls that probes make all day long; recorded only where their sender says so.
const PROBES: &str = "/grpc.health.v1.Health/";

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
    /// `None` when it is over, or was never watched.
    watch: Option<Watch>,
    span: Option<(Arc<RequestSpan>, Arc<dyn Observer>)>,
    /// The trace that it belongs to, sampled or not.
    trace: Option<SpanIds>,
    /// Method and path, where somebody reads them.
    what: Option<String>,
    is_grpc: bool,
}

impl Watch {
    pub(super) fn new(sampler: Sampler, spans: Arc<Spans>) -> Self {
        Self { shared: Arc::new(Shared { tracing: Some((sampler, spans)), failures: Failures::new() }) }
    }

    /// Tells of failures, and records nothing.
    pub(super) fn failures_only() -> Self {
        Self { shared: Arc::new(Shared { tracing: None, failures: Failures::new() }) }
    }

    /// A request arrived.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Watched {
        let parent = context::parent(request.headers());
        let is_probe = parent.is_none() && request.uri().path().starts_with(PROBES);
        let tracing = self.shared.tracing.as_ref().filter(|_| !is_probe);
        let span = tracing.and_then(|(sampler, spans)| {
            let trace = parent.map_or_else(|| spans.new_trace(), |parent| parent.ids.trace);
            let is_taken = sampler.takes(parent, trace);
            is_taken.then(|| RequestSpan::begin(request, trace, parent, spans))
        });
        let is_read = tracing::enabled!(tracing::Level::DEBUG);
        Watched {
            watch: Some(self.clone()),
            trace: span.as_ref().map(|span| span.ids).or(parent.map(|parent| parent.ids)),
            span: span.map(|span| (Arc::clone(&span), Arc::new(Recorder::of(span)) as Arc<dyn Observer>)),
            what: is_read.then(|| format!("{} {}", request.method(), request.uri().path())),
            is_grpc: is_grpc(request.headers()),
        }
    }
}

impl Watched {
    /// A request that nobody watches, such as one of an operator.
    pub(crate) fn by_nobody() -> Self {
        Self { watch: None, span: None, trace: None, what: None, is_grpc: false }
    }

    /// Who is told what becomes of it; nobody, when it is not sampled.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.span.as_ref().map(|(_, observer)| Arc::clone(observer))
    }

    /// The head of the answer is there; the request is over with the answer's body.
    pub(crate) fn answered<B: Body>(mut self, mut response: Response<B>) -> Response<WatchedBody<B>> {
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
        response.map(|body| WatchedBody::new(body, self, status))
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// It is over; only the first end counts.
    pub(super) fn end(&mut self, outcome: &Outcome) {
        let Some(watch) = self.watch.take() else { return };
        if let Some((span, _)) = &self.span {
            span.end(outcome);
        }
        watch.shared.failures.tell(self.what.as_deref(), self.trace, outcome);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end(&Outcome::Left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ServerMetrics;
    use crate::telemetry::export;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";

    fn request(path: &str, flags: Option<&str>) -> Request<()> {
        let request = Request::builder().uri(path).header("content-type", "application/grpc");
        let request = match flags {
            Some(flags) => request.header("traceparent", format!("{TRACEPARENT}{flags}")),
            None => request,
        };
        request.body(()).expect("a request")
    }

    fn watch(ratio: f64) -> (Watch, tokio::sync::mpsc::Receiver<opentelemetry_sdk::trace::SpanData>) {
        let (queue, waiting) = export::queue(8, ServerMetrics::new().spans);
        (Watch::new(Sampler { ratio, is_parent_based: true }, Arc::new(Spans::new(queue))), waiting)
    }

    fn answer() -> Response<axum::body::Body> {
        Response::new(axum::body::Body::from("unread"))
    }

    #[test]
    fn only_a_request_that_is_sampled_is_observed_and_its_span_is_one() {
        let (watch, mut waiting) = watch(0.0);
        for (flags, is_sampled) in [("00", false), ("01", true)] {
            let watched = watch.begin(&request("/a/b", Some(flags)));
            assert_eq!(watched.observer().is_some(), is_sampled);
            let answer = watched.answered(answer());
            assert_eq!(answer.headers().contains_key(TRACERESPONSE), is_sampled);
        }
        let span = waiting.try_recv().expect("the second one was sampled, and dropped before its end");
        assert_eq!(span.name, "a/b");
        assert!(span.attributes.iter().any(|attribute| attribute.key.as_str() == "error.type"), "{span:?}");
        assert!(waiting.try_recv().is_err(), "and no other");
    }

    #[test]
    fn probes_are_recorded_only_where_they_ask_for_it() {
        let (watch, _waiting) = watch(1.0);
        let path = "/grpc.health.v1.Health/Check";
        assert!(watch.begin(&request(path, None)).observer().is_none());
        assert!(watch.begin(&request(path, Some("01"))).observer().is_some());
        assert!(watch.begin(&request("/a/b", None)).observer().is_some());
    }
}
