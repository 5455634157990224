//! Figures of queues and batches, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use wisp_core::SessionInfo;

use crate::job::{Part, Ran};

/// The families of all sessions. Clones share them.
#[derive(Clone)]
pub struct SchedulerMetrics {
    queue: Family<ModelLabels, Histogram, fn() -> Histogram>,
    infer: Family<SessionLabels, Histogram, fn() -> Histogram>,
    gather: Family<ModelLabels, Histogram, fn() -> Histogram>,
    batch_rows: Family<ModelLabels, Histogram, fn() -> Histogram>,
    padding: Family<ModelLabels, Histogram, fn() -> Histogram>,
    queued_tokens: Family<ModelLabels, Gauge>,
    sessions: Family<ModelLabels, Gauge>,
    load: Family<ModelLabels, Histogram, fn() -> Histogram>,
    rejected: Family<RejectedLabels, Counter>,
}

/// Why a request was refused before any work was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Its tenant has as many requests in flight as it may.
    Quota,
    /// So has the server, or for bulk requests the part of it that they may use.
    Inflight,
    /// It would be answered too late.
    Overloaded,
    /// Too many inferences wait.
    Queue,
    /// No instance of its guest can be made.
    Instances,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Quota, Self::Inflight, Self::Overloaded, Self::Queue, Self::Instances];

    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Inflight => "inflight",
            Self::Overloaded => "overloaded",
            Self::Queue => "queue",
            Self::Instances => "instances",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    model: String,
    backend: String,
    device: String,
    precision: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    reason: &'static str,
}

impl SchedulerMetrics {
    /// Makes the families and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            queue: Family::new_with_constructor(seconds),
            infer: Family::new_with_constructor(seconds),
            gather: Family::new_with_constructor(short_seconds),
            batch_rows: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 9))),
            padding: Family::new_with_constructor(|| Histogram::new((0..10).map(|tenth| f64::from(tenth) / 10.0))),
            queued_tokens: Family::default(),
            sessions: Family::default(),
            load: Family::new_with_constructor(seconds),
            rejected: Family::default(),
        };
        registry.register("wisp_queue_seconds", "Time that entries waited for a session", metrics.queue.clone());
        registry.register("wisp_infer_seconds", "Time of inferences in the session", metrics.infer.clone());
        registry.register(
            "wisp_gather_seconds",
            "Time to put the rows of an inference together and take its results apart",
            metrics.gather.clone(),
        );
        registry.register("wisp_batch_rows", "Rows of an inference", metrics.batch_rows.clone());
        registry.register(
            "wisp_batch_padding_ratio",
            "Share of an inference that was padding",
            metrics.padding.clone(),
        );
        registry.register("wisp_queued_tokens", "Tokens that wait for a session", metrics.queued_tokens.clone());
        let sessions = metrics.sessions.clone();
        registry.register("wisp_sessions_loaded", "Sessions of a model that are in memory", sessions);
        let load = metrics.load.clone();
        registry.register("wisp_session_load_seconds", "Time to load a model that was needed again", load);
        registry.register("wisp_rejected", "Requests refused before any work was done", metrics.rejected.clone());
        // A reason that never occurred is a series of zeros, not a missing one.
        RejectReason::ALL.into_iter().for_each(|reason| drop(metrics.rejected(reason)));
        metrics
    }

    /// The counter of a reason, to be looked up once.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> Counter {
        self.rejected.get_or_create_owned(&RejectedLabels { reason: reason.name() })
    }
}

/// From a tenth of a millisecond to some ten seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 18))
}

/// From five microseconds to some hundred milliseconds.
fn short_seconds() -> Histogram {
    Histogram::new(exponential_buckets(5e-6, 2.0, 15))
}

/// The handles of one model, looked up once.
pub(crate) struct SessionMetrics(Option<Handles>);

struct Handles {
    queue: Histogram,
    infer: Histogram,
    gather: Histogram,
    batch_rows: Histogram,
    padding: Histogram,
    queued_tokens: Gauge,
    sessions: Gauge,
    load: Histogram,
    overloaded: Counter,
    queue_full: Counter,
}

impl SessionMetrics {
    pub(crate) fn of(metrics: Option<&SchedulerMetrics>, model: &str, info: &SessionInfo) -> Self {
        let handles = |metrics: &SchedulerMetrics| {
            let model = ModelLabels { model: model.to_owned() };
            let session = SessionLabels {
                model: model.model.clone(),
                backend: info.placement.backend.to_string(),
                device: info.placement.device.to_string(),
                precision: info.precision.to_string(),
            };
            Handles {
                queue: metrics.queue.get_or_create_owned(&model),
                infer: metrics.infer.get_or_create_owned(&session),
                gather: metrics.gather.get_or_create_owned(&model),
                batch_rows: metrics.batch_rows.get_or_create_owned(&model),
                padding: metrics.padding.get_or_create_owned(&model),
                queued_tokens: metrics.queued_tokens.get_or_create_owned(&model),
                sessions: metrics.sessions.get_or_create_owned(&model),
                load: metrics.load.get_or_create_owned(&model),
                overloaded: metrics.rejected(RejectReason::Overloaded),
                queue_full: metrics.rejected(RejectReason::Queue),
            }
        };
        Self(metrics.map(handles))
    }

    /// An inference ran.
    pub(crate) fn ran(&self, parts: &[Part], ran: &Ran) {
        let Some(handles) = &self.0 else { return };
        for part in parts {
            handles.queue.observe(ran.started_at.saturating_duration_since(part.job.queued_at).as_secs_f64());
        }
        handles.infer.observe(ran.infer.as_secs_f64());
        handles.gather.observe(ran.gather.as_secs_f64());
        handles.batch_rows.observe(ran.share.rows as f64);
        let padded = ran.share.padded_tokens.max(1) as f64;
        handles.padding.observe(1.0 - ran.share.tokens as f64 / padded);
    }

    /// So many tokens wait now.
    pub(crate) fn queued(&self, tokens: usize) {
        let Some(handles) = &self.0 else { return };
        handles.queued_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    /// A session was opened within this time; none for one that came with the model.
    pub(crate) fn loaded(&self, took: Duration) {
        let Some(handles) = &self.0 else { return };
        handles.sessions.inc();
        if !took.is_zero() {
            handles.load.observe(took.as_secs_f64());
        }
    }

    /// A session was closed.
    pub(crate) fn rested(&self) {
        if let Some(handles) = &self.0 {
            handles.sessions.dec();
        }
    }

    /// A request was refused, because it would have waited too long.
    pub(crate) fn overloaded(&self) {
        if let Some(handles) = &self.0 {
            handles.overloaded.inc();
        }
    }

    /// A request was refused, because the queue is full.
    pub(crate) fn queue_full(&self) {
        if let Some(handles) = &self.0 {
            handles.queue_full.inc();
        }
    }
}
