//! Traces: which requests are recorded, the spans that they are made of, and how these reach a collector.
//!
//! ```text
//! head of a request ─> context, sampling ─> request (an Observer of the engine) ─> span ─> queue ─> export ─> OTLP
//!                      └ not sampled: nothing is made, nobody is told
//! ```
//!
//! The engine knows nothing of OpenTelemetry: it tells an [`Observer`](wisp_engine::observe::Observer) what it measures
//! anyway, and spans are made of that here. A request that is not sampled has no observer.

mod context;
mod export;
mod failures;
mod recorder;
mod request;
mod sampling;
mod seldom;
mod span;
mod watch;
mod watch_body;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::trace::SpanExporter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wisp_engine::TelemetryConfig;

use crate::metrics::ServerMetrics;
use sampling::Sampler;
use span::Spans;
pub(crate) use watch::{Watch, Watched};

/// Longest time that one attempt to send spans may take.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);

/// Longest time that spans are waited for when the service stops.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Traces of a service, and its own figures.
pub struct Telemetry {
    metrics: Arc<ServerMetrics>,
    watch: Watch,
    sending: Option<Sending>,
}

/// The task that sends spans.
struct Sending {
    task: JoinHandle<()>,
    closing: CancellationToken,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The file with certificates cannot be read.
    #[error("telemetry.ca_file {}: {source}", .path.display())]
    Certificates {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The collector cannot be spoken to, whatever it answers.
    #[error("telemetry.otlp `{endpoint}`: {reason}")]
    Endpoint {
        /// The URL.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

impl Telemetry {
    /// No traces.
    #[must_use]
    pub fn off() -> Self {
        Self { metrics: Arc::new(ServerMetrics::new()), watch: Watch::failures_only(), sending: None }
    }

    /// Traces to the collector of the configuration, or none where it names none. Needs a Tokio runtime, and connects to nobody
    /// before there is something to send.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn start(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        match &config.otlp {
            None => Ok(Self::off()),
            Some(endpoint) => Ok(Self::with_exporter(exporter(endpoint, config)?, endpoint, config)),
        }
    }

    fn with_exporter(mut exporter: impl SpanExporter + 'static, endpoint: &str, config: &TelemetryConfig) -> Self {
        exporter.set_resource(&span::resource(config));
        let metrics = Arc::new(ServerMetrics::new());
        let (queue, waiting) = export::queue(config.queued_spans, metrics.spans.clone());
        let sampler = Sampler { ratio: config.sample_ratio, is_parent_based: config.parent_based };
        let closing = CancellationToken::new();
        let task = export::Export::new(exporter, endpoint, metrics.spans.clone()).run(waiting, closing.clone());
        let watch = Watch::new(sampler, Arc::new(Spans::new(queue)));
        Self { metrics, watch, sending: Some(Sending { task: tokio::spawn(task), closing }) }
    }

    /// The figures of the service.
    pub(crate) fn metrics(&self) -> &Arc<ServerMetrics> {
        &self.metrics
    }

    /// What watches requests.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Sends what waits, for at most [`FLUSH_LIMIT`].
    pub async fn shut_down(self) {
        let Some(Sending { mut task, closing }) = self.sending else { return };
        closing.cancel();
        if tokio::time::timeout(FLUSH_LIMIT, &mut task).await.is_err() {
            task.abort();
            tracing::warn!(
                limit_ms = FLUSH_LIMIT.as_millis(),
                "the last spans were not sent: the collector is too slow"
            );
        }
    }
}

fn exporter(endpoint: &str, config: &TelemetryConfig) -> Result<opentelemetry_otlp::SpanExporter, TelemetryError> {
    let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
    let mut builder = builder.with_endpoint(endpoint).with_timeout(EXPORT_LIMIT);
    if let Some(path) = &config.ca_file {
        let failed = |source| TelemetryError::Certificates { path: path.clone(), source };
        let certificates = Certificate::from_pem(std::fs::read(path).map_err(failed)?);
        builder = builder.with_tls_config(ClientTlsConfig::new().ca_certificate(certificates));
    }
    let failed = |reason: String| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), reason };
    builder.build().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;

    use super::*;

    /// A collector that takes spans and never says so.
    #[derive(Debug)]
    struct Silent;

    impl SpanExporter for Silent {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_never_answers_does_not_keep_the_service_from_stopping() {
        let telemetry = Telemetry::with_exporter(Silent, "http://test", &TelemetryConfig::default());
        drop(telemetry.watch().begin(&Request::new(())));
        telemetry.shut_down().await;
    }

    #[tokio::test]
    async fn certificates_that_cannot_be_read_are_named() {
        let config = TelemetryConfig {
            otlp: Some("https://localhost:4317".to_owned()),
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..TelemetryConfig::default()
        };
        let error = Telemetry::start(&config).err().expect("there is no such file").to_string();
        assert!(error.starts_with("telemetry.ca_file /nonexistent/ca.pem: "), "{error}");
    }
}
