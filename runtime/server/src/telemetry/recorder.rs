//! What observes the engine: makes spans of what it is told of a request, or of a guest's call in it.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceState};
use tokio::time::Instant;
use wisp_engine::observe::{Batch, CallEnd, Entry, Fact, Observer, SpanIds, Stage};

use super::request::RequestSpan;
use super::span::{Above, Ended, Failure};

/// Observes a request, or a guest's call in it.
pub(super) struct Recorder {
    request: Arc<RequestSpan>,
    /// The span that others are put below.
    ids: SpanIds,
    call: Option<Call>,
}

/// A guest's call.
struct Call {
    above: u64,
    deployment: String,
    started_at: Instant,
}

impl Recorder {
    /// Observes all that is done for a request.
    pub(super) fn of(request: Arc<RequestSpan>) -> Self {
        Self { ids: request.ids, request, call: None }
    }

    /// A part of this span's time.
    fn part(&self, name: &'static str, from: Instant, to: Instant, attributes: Vec<KeyValue>, links: Vec<SpanIds>) {
        let ids = SpanIds { span: self.request.spans.new_span(), ..self.ids };
        let ended = self.ended(name, ids, Some(self.ids.span), from, to);
        self.request.add_child(Ended { attributes, links, ..ended });
    }

    fn ended(&self, name: &'static str, ids: SpanIds, above: Option<u64>, from: Instant, to: Instant) -> Ended {
        let clock = self.request.clock;
        Ended {
            ids,
            parent: above.map(|span| Above { span, is_remote: false }),
            trace_state: self.request.trace_state.clone(),
            name: name.into(),
            kind: SpanKind::Internal,
            from: clock.time(from),
            to: clock.time(to),
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
        }
    }
}

impl Observer for Recorder {
    fn ids(&self) -> SpanIds {
        self.ids
    }

    fn trace_state(&self) -> Option<String> {
        Some(self.request.trace_state.header()).filter(|state| !state.is_empty())
    }

    fn note(&self, fact: Fact<'_>) {
        self.request.note(fact);
    }

    fn stage(&self, stage: Stage, from: Instant, to: Instant) {
        let name = match stage {
            Stage::Instantiate => "instantiate",
            Stage::Tokenize => "tokenize",
        };
        self.part(name, from, to, Vec::new(), Vec::new());
    }

    fn guest(&self, deployment: &str) -> Arc<dyn Observer> {
        let ids = SpanIds { span: self.request.spans.new_span(), ..self.ids };
        let call = Call { above: self.ids.span, deployment: deployment.to_owned(), started_at: Instant::now() };
        Arc::new(Self { request: Arc::clone(&self.request), ids, call: Some(call) })
    }

    fn guest_ended(&self, end: CallEnd<'_>) {
        let Some(Call { above, deployment, started_at }) = &self.call else { return };
        let mut attributes = vec![KeyValue::new("wisp.deployment", deployment.clone())];
        let failure = match end {
            CallEnd::Answered => None,
            CallEnd::Failed(message) => {
                Some(Failure { code: "guest".into(), message: message.to_owned(), is_ours: true })
            }
            CallEnd::GivenUp => {
                attributes.push(KeyValue::new("wisp.given_up", true));
                None
            }
        };
        let ended = self.ended("guest", self.ids, Some(*above), *started_at, Instant::now());
        self.request.add_child(Ended { attributes, failure, ..ended });
    }

    /// A batch has a trace of its own: it belongs to none of the requests more than to the others.
    fn batch(&self, batch: &Batch<'_>) -> SpanIds {
        let spans = &self.request.spans;
        let ids = SpanIds { trace: spans.new_trace(), span: spans.new_span() };
        let mut attributes = model(batch);
        let count = |name, count: u64| KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX));
        attributes.extend([
            count("wisp.batch.entries", batch.entries as u64),
            count("wisp.batch.rows", batch.share.rows),
            count("wisp.batch.tokens", batch.share.tokens),
            count("wisp.batch.padded_tokens", batch.share.padded_tokens),
        ]);
        let failure = batch.failure.clone();
        let failure = failure.map(|message| Failure { code: "inference".into(), message, is_ours: true });
        let ended = self.ended("batch", ids, None, batch.started_at, batch.ended_at);
        let links = batch.requests.clone();
        spans.add(Ended { trace_state: TraceState::default(), attributes, links, failure, ..ended });
        ids
    }

    fn entry(&self, entry: &Entry<'_>) {
        let &Entry { batch, batch_ids, queued_at, rows } = entry;
        let model_name = || vec![KeyValue::new("wisp.model", batch.model.to_owned())];
        self.part("queue", queued_at, batch.started_at, model_name(), Vec::new());
        self.part("gather", batch.started_at, batch.gathered_at, Vec::new(), Vec::new());
        let mut attributes = model(batch);
        attributes.push(KeyValue::new("wisp.rows", rows as i64));
        self.part("infer", batch.gathered_at, batch.inferred_at, attributes, vec![batch_ids]);
        self.part("split", batch.inferred_at, batch.ended_at, Vec::new(), Vec::new());
    }
}

fn model(batch: &Batch<'_>) -> Vec<KeyValue> {
    let session = batch.session;
    vec![
        KeyValue::new("wisp.model", batch.model.to_owned()),
        KeyValue::new("wisp.backend", session.placement.backend.to_string()),
        KeyValue::new("wisp.device", session.placement.device.to_string()),
        KeyValue::new("wisp.precision", session.precision.to_string()),
    ]
}
