//! `[models.NAME.batching]`: how requests share inferences.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wisp_scheduler::BatchRules;

/// How requests share inferences of a model, as far as it has proven that they may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingConfig {
    /// Whether they share at all.
    pub enabled: bool,
    /// Time in milliseconds that a shared inference may take, as far as it can be told. Higher, and requests that arrive
    /// meanwhile wait longer; lower, and the fixed cost of an inference is paid more often.
    pub max_batch_ms: u64,
    /// Microseconds that an inference waits for requests that were admitted and are on their way. 0 starts at once; higher
    /// makes batches fuller and answers later.
    pub max_queue_delay_us: u64,
    /// Inferences that may wait; more are refused with RESOURCE_EXHAUSTED.
    pub max_queued: usize,
}

impl BatchingConfig {
    /// Time that a shared inference may take.
    pub(crate) fn max_batch(&self) -> Duration {
        Duration::from_millis(self.max_batch_ms)
    }

    /// Time that an inference waits for others.
    pub(crate) fn max_queue_delay(&self) -> Duration {
        Duration::from_micros(self.max_queue_delay_us)
    }
}

impl Default for BatchingConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_batch_ms: u64::try_from(BatchRules::MAX_BATCH.as_millis()).unwrap_or(u64::MAX),
            max_queue_delay_us: 0,
            max_queued: wisp_scheduler::QueueLimits::default().max_queued,
        }
    }
}
