//! What callers and workers of a session share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::SessionInfo;

use crate::caller::{Lane, Tenant};
use crate::cost::{Cost, CostModel, Size, microseconds};
use crate::health::{Health, Recovery};
use crate::job::Job;
use crate::metrics::SessionMetrics;
use crate::record::Records;
use crate::residence::Residence;
use crate::rules::BatchRules;
use crate::slot::Slot;
use crate::waiting::Waiting;
use crate::worker::QueueLimits;

pub(crate) struct Shared {
    pub(crate) model: Arc<str>,
    pub(crate) info: SessionInfo,
    pub(crate) rules: Arc<BatchRules>,
    pub(crate) limits: QueueLimits,
    pub(crate) slots: Vec<WorkerPlace>,
    pub(crate) records: Records,
    pub(crate) residence: Residence,
    pub(crate) metrics: SessionMetrics,
    pub(crate) next_id: AtomicU64,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    cost: Mutex<CostModel>,
}

/// A worker's slot, its health, and how it gets another session.
pub(crate) struct WorkerPlace {
    pub(crate) slot: Slot,
    pub(crate) health: Health,
    pub(crate) recovery: Option<Arc<Mutex<Recovery>>>,
    /// The processor that its thread stays on.
    pub(crate) processor: Option<usize>,
}

/// The sessions of a model: where they work, and whether they are in memory.
pub(crate) struct Sessions {
    pub(crate) slots: Vec<WorkerPlace>,
    pub(crate) residence: Residence,
}

impl Shared {
    pub(crate) fn new(
        model: Arc<str>,
        info: SessionInfo,
        rules: Arc<BatchRules>,
        limits: QueueLimits,
        Sessions { slots, residence }: Sessions,
        cost: CostModel,
        metrics: SessionMetrics,
    ) -> Self {
        Self {
            model,
            info,
            rules,
            limits,
            slots,
            records: Records::default(),
            residence,
            metrics,
            next_id: AtomicU64::new(0),
            waiting: Mutex::new(Waiting::new()),
            arrived: Condvar::new(),
            cost: Mutex::new(cost),
        }
    }

    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changes in the queue, or until `until`.
    pub(crate) fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>, until: Option<Instant>) -> MutexGuard<'a, Waiting> {
        match until {
            None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let timeout = until.saturating_duration_since(Instant::now());
                self.arrived.wait_timeout(waiting, timeout).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Something to do for one worker.
    pub(crate) fn notify(&self) {
        self.arrived.notify_one();
    }

    /// Something that all workers must see.
    pub(crate) fn notify_all(&self) {
        self.arrived.notify_all();
    }

    /// Whether inferences wait or run.
    pub(crate) fn has_work(&self) -> bool {
        self.waiting().entries() > 0 || self.slots.iter().any(|place| place.slot.is_running())
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner).cost()
    }

    pub(crate) fn observe(&self, size: Size, took: Duration) {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner).observe(size, took);
    }

    /// Work that an entry of this size is counted as, in microseconds: where rows share inferences, the fixed part of those is
    /// counted once for many.
    pub(crate) fn work_us(&self, size: Size) -> f64 {
        let cost = self.cost();
        if self.rules.shares_rows { cost.beyond_fixed(size) } else { cost.of(size) }
    }

    /// When an entry of this tenant would start in this lane, from now; zero as long as that would be a guess out of nothing.
    pub(crate) fn predicted_wait(&self, waiting: &Waiting, lane: Lane, tenant: &Tenant) -> Duration {
        let model = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        if !model.is_believed() {
            return Duration::ZERO;
        }
        let cost = model.cost();
        drop(model);
        let wait_us = waiting.wait_us(lane, tenant, &cost, &self.rules);
        let now = Instant::now();
        let remaining = self.slots.iter().map(|place| place.slot.remaining(now)).min().unwrap_or_default();
        remaining + microseconds(wait_us / self.slots.len().max(1) as f64)
    }

    /// A caller left: its entry goes out of the queue, or its inference is stopped if it is the last one in it.
    pub(crate) fn abandon(&self, job: &Arc<Job>) {
        job.abandon();
        let mut waiting = self.waiting();
        waiting.remove(job);
        self.metrics.queued(waiting.tokens());
        drop(waiting);
        self.slots.iter().for_each(|place| place.slot.cancel_if_unwanted(job));
    }
}
