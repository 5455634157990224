//! The queue of a session, seen from the callers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wisp_core::{BackendError, NamedTensor, SessionInfo};

use crate::ScheduleError;
use crate::caller::{Caller, Lane, Tenant};
use crate::cost::microseconds;
use crate::health::HealthState;
use crate::job::{Ask, Job};
use crate::observe;
use crate::record::BatchRecord;
use crate::rules::BatchRules;
use crate::shape::Shape;
use crate::shared::Shared;
use crate::waiting::Waiting;
use crate::worker;

/// A handle on the sessions of a model and their queue; clones share both. The sessions end when the last one is dropped.
#[derive(Clone)]
pub struct SessionQueue {
    pub(crate) handle: Arc<Handle>,
}

/// Closes the queue when the last clone is gone.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// The outputs of an inference, where its time went, and what it was shared with.
#[derive(Debug)]
pub struct Inferred {
    /// Outputs in the order of the session's signature.
    pub outputs: Vec<NamedTensor>,
    /// Stage times.
    pub times: StageTimes,
    /// What it was shared with.
    pub share: BatchShare,
}

/// Where the time of an inference went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Waiting in the queue.
    pub queue: Duration,
    /// Putting rows together and taking results apart.
    pub gather: Duration,
    /// In the session.
    pub infer: Duration,
}

/// The inferences that an answer came out of, each counted whole: rows of other requests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchShare {
    /// Inferences.
    pub inferences: u32,
    /// Rows in them.
    pub rows: u64,
    /// Tokens in them that are no padding.
    pub tokens: u64,
    /// Tokens that they computed.
    pub padded_tokens: u64,
}

/// Work that was admitted and has not been asked for yet; withdrawn when dropped.
pub struct Announced {
    shared: Arc<Shared>,
    caller: Caller,
    work_us: f64,
    is_withdrawn: bool,
}

impl std::ops::AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.queue += other.queue;
        self.gather += other.gather;
        self.infer += other.infer;
    }
}

impl std::ops::AddAssign for BatchShare {
    fn add_assign(&mut self, other: Self) {
        self.inferences = self.inferences.saturating_add(other.inferences);
        self.rows = self.rows.saturating_add(other.rows);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.padded_tokens = self.padded_tokens.saturating_add(other.padded_tokens);
    }
}

impl SessionQueue {
    /// Name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.shared().model
    }

    /// What the session is.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        &self.shared().info
    }

    /// What may be put into one inference.
    #[must_use]
    pub fn rules(&self) -> &BatchRules {
        &self.shared().rules
    }

    /// Sessions that work off the queue.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared().slots.len()
    }

    /// Whether the model can be relied on now: healthy while one of its sessions is. Looks for inferences that hang.
    #[must_use]
    pub fn health(&self) -> HealthState {
        let shared = self.shared();
        worker::replace_hung(shared);
        let mut worst = HealthState::Healthy;
        for place in &shared.slots {
            match place.health.get() {
                HealthState::Healthy => return HealthState::Healthy,
                unhealthy @ HealthState::Unhealthy { .. } => worst = unhealthy,
            }
        }
        worst
    }

    /// Whether a session of the model is in memory.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.shared().residence.is_loaded()
    }

    /// Closes the sessions as soon as nothing waits for them. An inference that comes all the same opens them for itself.
    ///
    /// Sessions that cannot be opened again, because nothing says how, stay.
    pub fn release(&self) {
        self.shared().residence.release();
        self.shared().notify_all();
    }

    /// Takes [`SessionQueue::release`] back, and opens the sessions without waiting for an inference.
    pub fn ask_for(&self) {
        self.shared().residence.ask_for();
        self.shared().notify_all();
    }

    /// Whether sessions that were asked for are not there yet.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.shared().residence.is_asked_for()
    }

    /// The latest batches, the newest last.
    #[must_use]
    pub fn recent_batches(&self) -> Vec<BatchRecord> {
        self.shared().records.all()
    }

    /// Entries that wait now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().waiting().entries()
    }

    /// When an inference of this caller would start, from now, as far as can be told.
    #[must_use]
    pub fn predicted_wait(&self, caller: &Caller) -> Duration {
        let shared = self.shared();
        shared.predicted_wait(&shared.waiting(), caller.lane, &caller.tenant)
    }

    /// The least that an inference of this tenant would wait, whatever it is: what no request can be faster than.
    #[must_use]
    pub fn least_wait(&self, tenant: &Tenant) -> Duration {
        let shared = self.shared();
        let waiting = shared.waiting();
        let waits = Lane::ALL.map(|lane| shared.predicted_wait(&waiting, lane, tenant));
        waits.into_iter().min().unwrap_or_default()
    }

    /// Admits a request that will compute about `tokens` tokens in `rows` rows, before any work is done for it.
    ///
    /// Its work counts from now on for everybody who is admitted later, and a worker that may wait for company knows that it
    /// comes. Dropping the result takes that back.
    ///
    /// # Errors
    /// [`ScheduleError::Unhealthy`] when the model is out of service, [`ScheduleError::Overloaded`] when what is queued and
    /// admitted would take longer than until `deadline`.
    pub fn announce(
        &self,
        caller: &Caller,
        rows: usize,
        tokens: usize,
        deadline: Option<Instant>,
    ) -> Result<Announced, ScheduleError> {
        self.check_health()?;
        let shared = self.shared();
        let size = shared.rules.size(rows, tokens, tokens.div_ceil(rows.max(1)));
        let (own_us, work_us) = (shared.cost().of(size), shared.work_us(size));
        let mut waiting = shared.waiting();
        self.refuse_what_would_be_late(&waiting, caller, own_us, deadline)?;
        waiting.announce(caller, work_us);
        drop(waiting);
        Ok(Announced { shared: Arc::clone(shared), caller: caller.clone(), work_us, is_withdrawn: false })
    }

    /// Queues one inference and waits for its answer. Dropping the future cancels it, queued or running.
    ///
    /// Inputs are checked against the signature here, on the caller's time, so that a bad request never reaches a worker.
    /// `announced` is what [`SessionQueue::announce`] gave for this request, if it did.
    ///
    /// # Errors
    /// [`ScheduleError::Full`] at once when the queue is full, [`ScheduleError::Overloaded`] at once when what waits already
    /// would take longer than until `deadline`, [`ScheduleError::Unhealthy`] at once when the session is out
    /// of service, [`ScheduleError::Deadline`] when `deadline` passes, and whatever the session fails with.
    pub async fn infer(
        &self,
        inputs: Vec<NamedTensor>,
        caller: &Caller,
        deadline: Option<Instant>,
        announced: Option<Announced>,
    ) -> Result<Inferred, ScheduleError> {
        let shape = self.check(&inputs)?;
        self.run(inputs, shape, caller, deadline, announced).await
    }

    /// As [`SessionQueue::infer`], as one inference that is neither cut nor shared: to measure the session itself.
    ///
    /// # Errors
    /// As [`SessionQueue::infer`].
    pub async fn infer_as_it_is(&self, inputs: Vec<NamedTensor>, caller: &Caller) -> Result<Inferred, ScheduleError> {
        let shape = Shape { has_rows: false, ..self.check(&inputs)? };
        self.run(inputs, shape, caller, None, None).await
    }

    /// Checks inputs against the signature and reads their shape.
    fn check(&self, inputs: &[NamedTensor]) -> Result<Shape, ScheduleError> {
        let shared = self.shared();
        let signature = &shared.info.signature;
        signature.check_inputs(inputs).map_err(BackendError::from)?;
        let ragged = shared.rules.ragged.as_ref();
        if let Some(ragged) = ragged {
            ragged.check(inputs).map_err(BackendError::Input)?;
        }
        self.check_health()?;
        Ok(Shape::of(inputs, signature.inputs.iter().map(|input| input.name.as_str()), ragged))
    }

    async fn run(
        &self,
        inputs: Vec<NamedTensor>,
        shape: Shape,
        caller: &Caller,
        deadline: Option<Instant>,
        announced: Option<Announced>,
    ) -> Result<Inferred, ScheduleError> {
        let shared = self.shared();
        let size = shared.rules.size(shape.rows, shape.tokens, shape.length);
        let own_us = shared.cost().of(size);
        let (answer, answered) = oneshot::channel();
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (caller, observer, work_us) = (caller.clone(), observe::current(), shared.work_us(size));
        let ask = Ask { id, inputs, shape, caller, observer, deadline, work_us };
        let job = Arc::new(Job::new(ask, Instant::now(), answer));
        self.enqueue(&job, own_us, announced)?;
        let _guard = AbandonOnDrop { shared, job: &job };
        let received = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, answered)
                .await
                .map_err(|_| ScheduleError::Deadline { model: shared.model.to_string() })?,
            None => answered.await,
        };
        received.unwrap_or_else(|_| Err(self.closed()))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn check_health(&self) -> Result<(), ScheduleError> {
        match self.health() {
            HealthState::Healthy => Ok(()),
            HealthState::Unhealthy { reason, .. } => {
                Err(ScheduleError::Unhealthy { model: self.shared().model.to_string(), reason })
            }
        }
    }

    /// Waiting for what will not come in time helps neither this caller nor those behind it. An idle session refuses nobody:
    /// what is known of cost must not keep itself from being corrected.
    fn refuse_what_would_be_late(
        &self,
        waiting: &Waiting,
        caller: &Caller,
        own_us: f64,
        deadline: Option<Instant>,
    ) -> Result<(), ScheduleError> {
        let Some(deadline) = deadline else { return Ok(()) };
        let ahead = self.shared().predicted_wait(waiting, caller.lane, &caller.tenant);
        if ahead.is_zero() {
            return Ok(());
        }
        let wait = ahead + microseconds(own_us);
        if wait > deadline.saturating_duration_since(Instant::now()) {
            self.shared().metrics.overloaded();
            return Err(ScheduleError::Overloaded { model: self.shared().model.to_string(), wait });
        }
        Ok(())
    }

    fn enqueue(&self, job: &Arc<Job>, own_us: f64, announced: Option<Announced>) -> Result<(), ScheduleError> {
        let shared = self.shared();
        let mut waiting = shared.waiting();
        // What was only estimated is known now, and must not be counted beside itself. Under one lock: a worker that waits for
        // this entry must not see the moment in between.
        if let Some(announced) = announced {
            announced.withdraw_from(&mut waiting);
        }
        self.refuse_what_would_be_late(&waiting, &job.caller, own_us, job.deadline)?;
        let limit = shared.limits.max_queued;
        if waiting.entries() >= limit {
            shared.metrics.queue_full();
            return Err(ScheduleError::Full { what: "queued inferences", limit });
        }
        waiting.push(Arc::clone(job));
        shared.metrics.queued(waiting.tokens());
        drop(waiting);
        shared.notify();
        Ok(())
    }

    fn closed(&self) -> ScheduleError {
        ScheduleError::Closed { model: self.shared().model.to_string() }
    }
}

/// Takes a job back when its caller goes away before the answer came.
struct AbandonOnDrop<'a> {
    shared: &'a Shared,
    job: &'a Arc<Job>,
}

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if !self.job.is_over() {
            self.shared.abandon(self.job);
        }
    }
}

impl Announced {
    fn withdraw_from(mut self, waiting: &mut Waiting) {
        waiting.withdraw(&self.caller, self.work_us);
        self.is_withdrawn = true;
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if !self.is_withdrawn {
            self.shared.waiting().withdraw(&self.caller, self.work_us);
            // A worker may be waiting for exactly this request.
            self.shared.notify();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.waiting().is_closed = true;
        self.shared.notify_all();
    }
}

impl std::fmt::Debug for SessionQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionQueue").field("model", &self.shared().model).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Announced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announced").field("model", &self.shared.model).finish_non_exhaustive()
    }
}
