//! The span of a request: what is known of it, from its head to the end of its answer.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Request};
use opentelemetry::trace::{SpanKind, TraceState};
use opentelemetry::{KeyValue, Value};
use tonic::Code;
use wisp_engine::observe::{Fact, SpanIds};

use super::context::{self, Parent};
use super::span::{Above, Clock, Ended, Failure, Spans};
use crate::transport::Peer;

/// Spans below that of one request; more are dropped, and counted.
const CHILDREN_LIMIT: usize = 512;

/// Characters of what a client chose.
const TEXT_LIMIT_CHARS: usize = 256;

/// How the body of a gRPC request is announced; gRPC-Web begins alike.
const GRPC_CONTENT_TYPE: &[u8] = b"application/grpc";

/// A request that is recorded, shared by all who work on it.
pub(super) struct RequestSpan {
    pub(super) ids: SpanIds,
    pub(super) trace_state: TraceState,
    pub(super) spans: Arc<Spans>,
    pub(super) clock: Clock,
    above: Option<Above>,
    asked: Asked,
    notes: Mutex<Notes>,
    children: AtomicUsize,
    has_ended: AtomicBool,
}

/// What was asked for, by the protocol it came in.
enum Asked {
    Grpc { service: String, method: String },
    Http { method: String, path: String, scheme: &'static str },
}

/// What became known on the way.
#[derive(Default)]
struct Notes {
    attributes: Vec<KeyValue>,
    failure: Option<(&'static str, String)>,
}

/// How a request ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a status of gRPC.
    Grpc(Code, String),
    /// With a status of HTTP.
    Http(u16),
    /// The client left, or the connection broke, before there was one.
    Left,
}

impl RequestSpan {
    /// A request that begins now, and is sampled.
    pub(super) fn begin<B>(request: &Request<B>, trace: u128, parent: Option<Parent>, spans: &Arc<Spans>) -> Arc<Self> {
        let ids = SpanIds { trace, span: spans.new_span() };
        Arc::new(Self {
            ids,
            trace_state: parent.map(|_| context::trace_state(request.headers())).unwrap_or_default(),
            spans: Arc::clone(spans),
            clock: Clock::now(),
            above: parent.map(|parent| Above { span: parent.ids.span, is_remote: true }),
            asked: Asked::of(request),
            notes: Mutex::default(),
            children: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
        })
    }

    /// Remembers a fact; a later one of its kind takes its place.
    pub(super) fn note(&self, fact: Fact<'_>) {
        let mut notes = self.notes();
        match fact {
            Fact::Deployment(name) => notes.set("wisp.deployment", name.to_owned()),
            Fact::Method(name) => notes.set("wisp.method", name),
            Fact::Inputs(count) => notes.set("wisp.inputs", count as i64),
            Fact::Tokens(count) => notes.set("wisp.tokens", i64::try_from(count).unwrap_or(i64::MAX)),
            Fact::Ran { model, placement, precision } => {
                notes.set("wisp.model", model.to_owned());
                notes.set("wisp.backend", placement.backend.to_string());
                notes.set("wisp.device", placement.device.to_string());
                notes.set("wisp.precision", precision.to_string());
            }
            Fact::Failure { code, message } => notes.failure = Some((code, message.to_owned())),
        }
    }

    /// Puts a span below this one's into the queue, as long as there are not too many.
    pub(super) fn add_child(&self, span: Ended) {
        match self.children.fetch_add(1, Ordering::Relaxed) < CHILDREN_LIMIT {
            true => self.spans.add(span),
            false => self.spans.drop_one(),
        }
    }

    /// The answer is with the client, or there will be none. Only the first end counts.
    pub(super) fn end(&self, outcome: &Outcome) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let Notes { attributes, failure } = std::mem::take(&mut *self.notes());
        let mut all = self.asked.attributes();
        all.extend(attributes);
        all.extend(outcome.attribute());
        self.spans.add(Ended {
            ids: self.ids,
            parent: self.above,
            trace_state: self.trace_state.clone(),
            name: self.asked.span_name(outcome),
            kind: SpanKind::Server,
            from: self.clock.start(),
            to: self.clock.time(tokio::time::Instant::now()),
            attributes: all,
            links: Vec::new(),
            failure: outcome.failure(failure),
        });
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|known| known.key.as_str() == key) {
            Some(known) => known.value = value,
            None => self.attributes.push(KeyValue::new(key, value)),
        }
    }
}

impl Asked {
    fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        match path.trim_start_matches('/').split_once('/').filter(|_| is_grpc(request.headers())) {
            Some((service, method)) => Self::Grpc { service: bounded(service), method: bounded(method) },
            None => {
                let is_encrypted = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_encrypted);
                let scheme = if is_encrypted { "https" } else { "http" };
                Self::Http { method: bounded(request.method().as_str()), path: bounded(path), scheme }
            }
        }
    }

    /// Source: OpenTelemetry semantic conventions for RPC and HTTP server spans.
    fn attributes(&self) -> Vec<KeyValue> {
        match self {
            Self::Grpc { service, method } => vec![
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", service.clone()),
                KeyValue::new("rpc.method", method.clone()),
            ],
            Self::Http { method, path, scheme } => vec![
                KeyValue::new("http.request.method", method.clone()),
                KeyValue::new("url.path", path.clone()),
                KeyValue::new("url.scheme", *scheme),
            ],
        }
    }

    /// Names of spans are few: what nobody serves has none of its own, and a path may be anything.
    fn span_name(&self, outcome: &Outcome) -> Cow<'static, str> {
        match self {
            Self::Grpc { .. } if matches!(outcome, Outcome::Grpc(Code::Unimplemented, _)) => "unknown rpc".into(),
            Self::Grpc { service, method } => format!("{service}/{method}").into(),
            Self::Http { method, .. } => method.clone().into(),
        }
    }
}

impl Outcome {
    /// The end of an answer that has these headers, or trailers, where they say it.
    pub(super) fn of_grpc(headers: &HeaderMap) -> Option<Self> {
        if headers.get(tonic::Status::GRPC_STATUS)?.as_bytes() == b"0" {
            // The usual case; the other way copies the headers.
            return Some(Self::Grpc(Code::Ok, String::new()));
        }
        let status = tonic::Status::from_header_map(headers)?;
        Some(Self::Grpc(status.code(), status.message().to_owned()))
    }

    fn attribute(&self) -> Option<KeyValue> {
        match self {
            Self::Grpc(code, _) => Some(KeyValue::new("rpc.grpc.status_code", *code as i64)),
            Self::Http(status) => Some(KeyValue::new("http.response.status_code", i64::from(*status))),
            Self::Left => None,
        }
    }

    /// Whether this service is to blame. Source: OpenTelemetry semantic conventions, statuses of server spans.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Grpc(code, _) => matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ),
            Self::Http(status) => *status >= 500,
            Self::Left => false,
        }
    }

    fn failure(&self, noted: Option<(&'static str, String)>) -> Option<Failure> {
        let (code, message): (Cow<'static, str>, String) = match self {
            Self::Grpc(Code::Ok, _) => return None,
            Self::Http(status) if *status < 400 => return None,
            Self::Grpc(code, message) => (format!("{code:?}").into(), message.clone()),
            Self::Http(status) => (status.to_string().into(), String::new()),
            Self::Left => ("left".into(), "nobody waited for the answer any more".to_owned()),
        };
        let is_ours = self.is_ours();
        Some(match noted {
            Some((code, message)) => Failure { code: code.into(), message, is_ours },
            None => Failure { code, message, is_ours },
        })
    }
}

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(GRPC_CONTENT_TYPE))
}

fn bounded(text: &str) -> String {
    text.chars().take(TEXT_LIMIT_CHARS).collect()
}
