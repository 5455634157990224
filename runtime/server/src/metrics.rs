//! Figures of the service itself: the process, its connections, and the spans that it sends.

mod process;

use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use process::Process;

/// The figures that there are without an engine.
pub(crate) struct ServerMetrics {
    registry: Mutex<Registry>,
    connections: Family<ListenerLabels, Gauge>,
    refused_connections: Family<ListenerLabels, Counter>,
    pub(crate) spans: SpanCounts,
}

/// Where connections come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Grpc,
    Http,
    Admin,
}

/// What became of the spans of traces.
#[derive(Clone)]
pub(crate) struct SpanCounts {
    /// The collector has them.
    pub(crate) exported: Counter,
    /// Nobody has them: the queue was full, or the collector took none.
    pub(crate) dropped: Counter,
}

/// The connections of a listener.
#[derive(Clone)]
pub(crate) struct ConnectionCounts {
    open: Gauge,
    refused: Counter,
}

/// A connection that is open; counted until it is dropped.
pub(crate) struct Open(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl ServerMetrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let connections: Family<ListenerLabels, Gauge> = Family::default();
        registry.register("wisp_connections", "Connections that are open", connections.clone());
        let refused_connections: Family<ListenerLabels, Counter> = Family::default();
        let refused = refused_connections.clone();
        registry.register("wisp_connections_refused", "Connections beyond server.limits.connections", refused);
        let spans: Family<OutcomeLabels, Counter> = Family::default();
        let outcome = |outcome| spans.get_or_create_owned(&OutcomeLabels { outcome });
        let counts = SpanCounts { exported: outcome("exported"), dropped: outcome("dropped") };
        registry.register("wisp_spans", "Spans of traces by what became of them", spans);
        let metrics = Self { registry: Mutex::new(registry), connections, refused_connections, spans: counts };
        // A listener without a connection is a series of zeros, not a missing one.
        Listener::ALL.into_iter().for_each(|listener| drop(metrics.connections(listener)));
        metrics
    }

    /// The figures of a listener, to be looked up once.
    pub(crate) fn connections(&self, listener: Listener) -> ConnectionCounts {
        let labels = ListenerLabels { listener: listener.name() };
        ConnectionCounts {
            open: self.connections.get_or_create_owned(&labels),
            refused: self.refused_connections.get_or_create_owned(&labels),
        }
    }

    /// Adds the figures to those of an engine, which come first, and ends the text.
    pub(crate) fn encode_after(&self, mut text: String) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = encode_registry(&mut text, &registry);
        let _ = encode_eof(&mut text);
        text
    }
}

impl Listener {
    const ALL: [Self; 3] = [Self::Grpc, Self::Http, Self::Admin];

    const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Admin => "admin",
        }
    }
}

impl ConnectionCounts {
    /// A connection is open from now on until the result is dropped.
    pub(crate) fn open(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    /// A connection was closed because there are too many.
    pub(crate) fn refuse(&self) {
        self.refused.inc();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let metrics = ServerMetrics::new();
        let counts = metrics.connections(Listener::Grpc);
        let open = counts.open();
        counts.refuse();
        let text = metrics.encode_after(String::new());
        assert!(text.contains("wisp_connections{listener=\"grpc\"} 1\n"), "{text}");
        assert!(text.contains("wisp_connections_refused_total{listener=\"grpc\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        drop(open);
        let text = metrics.encode_after(String::new());
        assert!(text.contains("wisp_connections{listener=\"grpc\"} 0\n"), "{text}");
    }
}
