//! Spans as OpenTelemetry has them, made of what was measured.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;
use wisp_engine::TelemetryConfig;
use wisp_engine::observe::SpanIds;

use super::export::SpanQueue;

/// Where spans are made and put into the queue.
pub(super) struct Spans {
    queue: SpanQueue,
    scope: InstrumentationScope,
    random: RandomIdGenerator,
}

/// A span that is over.
pub(super) struct Ended {
    pub(super) ids: SpanIds,
    /// The span above it.
    pub(super) parent: Option<Above>,
    pub(super) trace_state: TraceState,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: SpanKind,
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) links: Vec<SpanIds>,
    pub(super) failure: Option<Failure>,
}

/// The span above another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Above {
    pub(super) span: u64,
    /// In another service.
    pub(super) is_remote: bool,
}

/// Why something failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The kind of failure, one of a closed set.
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
    /// Whether this service is to blame. Source: OpenTelemetry semantic conventions: the span of a server is in error only then.
    pub(super) is_ours: bool,
}

/// What a moment of the monotonic clock is in the world's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    at: Instant,
    time: SystemTime,
}

impl Clock {
    /// Both clocks, now.
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), time: SystemTime::now() }
    }

    pub(super) fn start(self) -> SystemTime {
        self.time
    }

    pub(super) fn time(self, moment: Instant) -> SystemTime {
        match moment.checked_duration_since(self.at) {
            Some(after) => self.time + after,
            None => self.time - self.at.saturating_duration_since(moment),
        }
    }
}

impl Spans {
    pub(super) fn new(queue: SpanQueue) -> Self {
        let scope = InstrumentationScope::builder("wisp").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { queue, scope, random: RandomIdGenerator::default() }
    }

    /// An id that no other trace has.
    pub(super) fn new_trace(&self) -> u128 {
        u128::from_be_bytes(self.random.new_trace_id().to_bytes())
    }

    /// An id that no other span has.
    pub(super) fn new_span(&self) -> u64 {
        u64::from_be_bytes(self.random.new_span_id().to_bytes())
    }

    /// Puts a span into the queue.
    pub(super) fn add(&self, span: Ended) {
        self.queue.add(self.data(span));
    }

    /// Counts a span that a request has no room for.
    pub(super) fn drop_one(&self) {
        self.queue.drop_one();
    }

    fn data(&self, span: Ended) -> SpanData {
        let Ended { ids, parent, trace_state, name, kind, from, to, mut attributes, links, failure } = span;
        let mut events = SpanEvents::default();
        let mut status = Status::Unset;
        if let Some(Failure { code, message, is_ours }) = failure {
            attributes.push(KeyValue::new("error.type", code.clone()));
            let told = vec![KeyValue::new("exception.type", code), KeyValue::new("exception.message", message.clone())];
            events.events.push(Event::new("exception", to, told, 0));
            if is_ours {
                status = Status::error(message);
            }
        }
        let link = |ids: SpanIds| Link::new(context(ids, false, TraceState::default()), Vec::new(), 0);
        let mut span_links = SpanLinks::default();
        span_links.links = links.into_iter().map(link).collect();
        SpanData {
            span_context: context(ids, false, trace_state),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span)),
            parent_span_is_remote: parent.is_some_and(|parent| parent.is_remote),
            span_kind: kind,
            name,
            start_time: from,
            end_time: to,
            attributes,
            dropped_attributes_count: 0,
            events,
            links: span_links,
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn context(ids: SpanIds, is_remote: bool, trace_state: TraceState) -> SpanContext {
    let (trace, span) = (TraceId::from(ids.trace), SpanId::from(ids.span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, is_remote, trace_state)
}

/// What all spans of the service have in common.
pub(super) fn resource(config: &TelemetryConfig) -> Resource {
    let configured = config.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let own = [
        KeyValue::new("service.name", config.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    Resource::builder_empty().with_attributes(own.into_iter().chain(configured)).build()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::ServerMetrics;

    /// A span of which nothing is known.
    pub(in crate::telemetry) fn any_span() -> SpanData {
        let spans = Spans::new(super::super::export::queue(1, ServerMetrics::new().spans).0);
        let time = Clock::now().start();
        spans.data(Ended {
            ids: SpanIds { trace: 1, span: 2 },
            parent: None,
            trace_state: TraceState::default(),
            name: "any".into(),
            kind: SpanKind::Internal,
            from: time,
            to: time,
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
        })
    }

    #[test]
    fn moments_keep_their_distance_in_the_worlds_time() {
        let clock = Clock::now();
        let moment = clock.at + std::time::Duration::from_millis(250);
        assert_eq!(clock.time(moment).duration_since(clock.start()).expect("later").as_millis(), 250);
        let earlier = clock.at.checked_sub(std::time::Duration::from_millis(5)).expect("the machine runs for longer");
        assert_eq!(clock.start().duration_since(clock.time(earlier)).expect("earlier").as_millis(), 5);
    }

    #[test]
    fn every_span_has_ids_of_its_own() {
        let spans = Spans::new(super::super::export::queue(1, ServerMetrics::new().spans).0);
        assert_ne!(spans.new_trace(), spans.new_trace());
        assert_ne!(spans.new_span(), spans.new_span());
    }
}
