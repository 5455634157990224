//! The queue of spans that wait to be sent, and the task that sends them.
//!
//! Whoever adds a span never waits: what finds no room is dropped, and counted. While the collector is away, requests notice
//! nothing, and the log has one line a minute.

use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::EXPORT_LIMIT;
use super::seldom::Seldom;
use crate::metrics::SpanCounts;

/// Spans that are sent at once, at most.
const BATCH_SPANS: usize = 512;

/// How long a span waits for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);

/// How often the log says that spans are lost, at most.
const SILENCE: Duration = Duration::from_secs(60);

/// The end of the queue that spans are put into.
pub(super) struct SpanQueue {
    spans: mpsc::Sender<SpanData>,
    counts: SpanCounts,
}

/// Sends spans to a collector.
pub(super) struct Export<E> {
    exporter: E,
    endpoint: String,
    counts: SpanCounts,
    complaints: Seldom,
}

/// A queue with room for `limit` spans.
pub(super) fn queue(limit: usize, counts: SpanCounts) -> (SpanQueue, mpsc::Receiver<SpanData>) {
    let (spans, waiting) = mpsc::channel(limit);
    (SpanQueue { spans, counts }, waiting)
}

impl SpanQueue {
    /// Takes a span, or drops it.
    pub(super) fn add(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.drop_one();
        }
    }

    /// Counts a span that was not even made.
    pub(super) fn drop_one(&self) {
        self.counts.dropped.inc();
    }
}

impl<E: SpanExporter> Export<E> {
    pub(super) fn new(exporter: E, endpoint: &str, counts: SpanCounts) -> Self {
        Self { exporter, endpoint: endpoint.to_owned(), counts, complaints: Seldom::every(SILENCE) }
    }

    /// Sends what comes until `closing` is cancelled, and what waits then.
    pub(super) async fn run(self, mut waiting: mpsc::Receiver<SpanData>, closing: CancellationToken) {
        loop {
            let batch = next_batch(&mut waiting, &closing).await;
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let reason = match tokio::time::timeout(EXPORT_LIMIT, self.exporter.export(batch)).await {
            Ok(Ok(())) => {
                self.counts.exported.inc_by(count);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not answer within {} s", EXPORT_LIMIT.as_secs()),
        };
        self.counts.dropped.inc_by(count);
        if self.complaints.pass().is_some() {
            let dropped = self.counts.dropped.get();
            tracing::warn!(endpoint = self.endpoint, dropped, reason, "spans are dropped: the collector takes none");
        }
    }
}

/// Spans that are sent together; none when the queue is closed and empty.
async fn next_batch(waiting: &mut mpsc::Receiver<SpanData>, closing: &CancellationToken) -> Vec<SpanData> {
    let mut batch = Vec::new();
    let mut sends_at = None;
    while batch.len() < BATCH_SPANS {
        let delay = async {
            match sends_at {
                Some(sends_at) => tokio::time::sleep_until(sends_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            span = waiting.recv() => match span {
                Some(span) => {
                    batch.push(span);
                    sends_at.get_or_insert_with(|| Instant::now() + DELAY);
                }
                None => break,
            },
            () = closing.cancelled(), if !waiting.is_closed() => waiting.close(),
            () = delay => break,
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

    use super::*;
    use crate::metrics::ServerMetrics;
    use crate::telemetry::span::tests::any_span;

    /// Takes the sizes of batches down, or fails.
    #[derive(Clone, Debug)]
    struct Fake {
        batches: Arc<Mutex<Vec<usize>>>,
        is_away: bool,
    }

    impl SpanExporter for Fake {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.batches.lock().expect("never poisoned").push(batch.len());
            if self.is_away { Err(OTelSdkError::InternalFailure("nobody listens".to_owned())) } else { Ok(()) }
        }
    }

    async fn send(limit: usize, spans: usize, is_away: bool) -> (Vec<usize>, u64, u64) {
        let counts = ServerMetrics::new().spans;
        let (queue, waiting) = queue(limit, counts.clone());
        (0..spans).for_each(|_| queue.add(any_span()));
        let fake = Fake { batches: Arc::default(), is_away };
        let closing = CancellationToken::new();
        closing.cancel();
        Export::new(fake.clone(), "http://test", counts.clone()).run(waiting, closing).await;
        let batches = fake.batches.lock().expect("never poisoned").clone();
        (batches, counts.exported.get(), counts.dropped.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_sent_in_batches_when_the_service_stops() {
        assert_eq!(send(2048, 600, false).await, (vec![512, 88], 600, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_dropped_and_counted() {
        assert_eq!(send(16, 20, false).await, (vec![16], 16, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_collector_does_not_take_is_counted_as_dropped() {
        assert_eq!(send(16, 16, true).await, (vec![16], 0, 16));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_span_is_sent_after_a_moment() {
        let (queue, mut waiting) = queue(16, ServerMetrics::new().spans);
        queue.add(any_span());
        assert_eq!(next_batch(&mut waiting, &CancellationToken::new()).await.len(), 1);
    }
}
