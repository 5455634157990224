//! The threads that own the sessions of a model and work off its queue.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{BackendError, Batch, ErrorKind, Kinded, Session};

use crate::cost::{Cost, CostModel};
use crate::health::{Health, HealthState, Recovery};
use crate::inference::Runner;
use crate::job::{Job, Part};
use crate::metrics::{SchedulerMetrics, SessionMetrics};
use crate::policy::close_at;
use crate::queue::Handle;
use crate::rules::BatchRules;
use crate::shared::{Shared, WorkerPlace};
use crate::slot::Slot;
use crate::waiting::Formed;
use crate::{ScheduleError, SessionQueue};

/// Bounds of a session's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Inferences that may wait; the next one is refused with [`ScheduleError::Full`].
    pub max_queued: usize,
    /// An inference that takes longer, and twenty times longer than was to be expected, is given up: its callers are told, and
    /// another session takes its place.
    pub hang: Duration,
}

impl Default for QueueLimits {
    /// Room for 16,384 waiting inferences; half a minute for one.
    fn default() -> Self {
        Self { max_queued: 16_384, hang: Duration::from_secs(30) }
    }
}

/// Everything that a model's queue is made of.
pub struct QueueConfig {
    /// Name of the model.
    pub model: String,
    /// What may be put into one inference.
    pub rules: BatchRules,
    /// Bounds.
    pub limits: QueueLimits,
    /// What inferences are thought to cost before any was seen.
    pub cost: Option<Cost>,
    /// Where figures go; `None` for nowhere.
    pub metrics: Option<SchedulerMetrics>,
}

/// A session and how it is opened again.
pub struct Served {
    /// The session.
    pub session: Box<dyn Session>,
    /// Without one, the session stays in service whatever happens.
    pub recovery: Option<Recovery>,
}

impl QueueConfig {
    /// A queue whose entries share nothing.
    #[must_use]
    pub fn unproven(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            rules: BatchRules::unproven(),
            limits: QueueLimits::default(),
            cost: None,
            metrics: None,
        }
    }
}

/// Gives each of `sessions`, which are of one kind, to a thread of its own and returns the handle on their common queue.
///
/// A session that no longer answers what it is known to answer is taken out of service and opened anew. The threads end when
/// the last handle is dropped and the entries queued by then are answered.
///
/// # Errors
/// When there is no session, or the operating system refuses a thread.
pub fn spawn(config: QueueConfig, sessions: Vec<Served>) -> std::io::Result<SessionQueue> {
    let cost = CostModel::new(config.cost);
    spawn_with(config, sessions, cost)
}

pub(crate) fn spawn_with(config: QueueConfig, sessions: Vec<Served>, cost: CostModel) -> std::io::Result<SessionQueue> {
    let Some(first) = sessions.first() else { return Err(std::io::Error::other("a queue needs a session")) };
    let info = first.session.info().clone();
    let model: Arc<str> = config.model.into();
    let rules = Arc::new(BatchRules { is_packed: BatchRules::is_packed(&info.layouts), ..config.rules });
    let metrics = SessionMetrics::of(config.metrics.as_ref(), &model, &info);
    let (places, sessions): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .map(|served| {
            let slot = Slot::new(served.session.canceller());
            let recovery = served.recovery.map(|recovery| Arc::new(Mutex::new(recovery)));
            (WorkerPlace { slot, health: Health::new(), recovery }, served.session)
        })
        .unzip();
    let shared = Arc::new(Shared::new(model, info, rules, config.limits, places, cost, metrics));
    // Made first, so that threads that were started end when a later one cannot be.
    let queue = SessionQueue { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
    for (index, session) in sessions.into_iter().enumerate() {
        let runner = Runner::new(Arc::clone(&shared.model), session, Arc::clone(&shared.rules));
        start(Worker { shared: Arc::clone(&shared), runner, index, generation: 0 }, |mut worker| worker.work())?;
    }
    Ok(queue)
}

fn start(worker: Worker, run: impl FnOnce(Worker) + Send + 'static) -> std::io::Result<()> {
    // Linux shows 15 bytes of a thread's name.
    let name = format!("wisp-{}", worker.shared.model);
    std::thread::Builder::new().name(name).spawn(move || run(worker)).map(|_| ())
}

/// Looks for inferences that will not end any more, tells their callers, and puts other threads in the place of theirs.
pub(crate) fn replace_hung(shared: &Arc<Shared>) {
    for (index, place) in shared.slots.iter().enumerate() {
        let Some(hung) = place.slot.give_up(Instant::now(), shared.limits.hang) else { continue };
        let error = || ScheduleError::Hung { model: shared.model.to_string(), ran: hung.ran };
        tracing::error!(model = &*shared.model, jobs = hung.jobs.len(), "{}; its thread is left to itself", error());
        hung.jobs.iter().for_each(|job| job.fail(error()));
        place.health.failed(error().to_string(), Instant::now());
        let Some(recovery) = place.recovery.clone() else { continue };
        let shared = Arc::clone(shared);
        let name = format!("wisp-{}", shared.model);
        let replacement = move || {
            // The thread that hangs holds the session; this one starts with none, and opens one before anything else.
            let absent = Box::new(Absent { info: shared.info.clone() });
            let runner = Runner::new(Arc::clone(&shared.model), absent, Arc::clone(&shared.rules));
            let mut worker = Worker { shared, runner, index, generation: hung.generation };
            if worker.recover(&recovery) {
                worker.work();
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(replacement) {
            tracing::error!("no thread to replace one that hangs: {error}");
        }
    }
}

/// What stands in the place of a session until one is opened.
struct Absent {
    info: wisp_core::SessionInfo,
}

impl Session for Absent {
    fn info(&self) -> &wisp_core::SessionInfo {
        &self.info
    }

    fn run(&mut self, _: &Batch) -> Result<Vec<wisp_core::NamedTensor>, BackendError> {
        Err(BackendError::Cancelled)
    }
}

struct Worker {
    shared: Arc<Shared>,
    runner: Runner,
    index: usize,
    generation: u64,
}

/// What came of a batch.
enum Outcome {
    /// The session can go on.
    Done,
    /// It failed in a way that may be its own fault, with this message; a canary tells.
    Suspicious(String),
    /// The thread was replaced while the inference ran.
    Replaced,
}

impl Worker {
    fn work(&mut self) {
        while let Some(formed) = self.next() {
            for job in formed.late {
                job.fail(ScheduleError::Deadline { model: self.shared.model.to_string() });
            }
            for parts in self.runner.together(formed.parts) {
                match self.run_or_halve(parts) {
                    Outcome::Done => {}
                    Outcome::Replaced => return,
                    Outcome::Suspicious(failure) => {
                        if self.is_broken(&failure) && !self.recover_place() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Waits for the next batch; `None` when nobody holds the queue any more and nothing is left.
    fn next(&self) -> Option<Formed> {
        let (shared, rules) = (&self.shared, &self.shared.rules);
        let mut waiting = shared.waiting();
        loop {
            let now = Instant::now();
            match waiting.waits() {
                None if waiting.is_closed => return None,
                None => waiting = shared.wait(waiting, None),
                Some(waits) => {
                    let closes_at = close_at(&waits, rules, now);
                    if closes_at <= now {
                        let formed = waiting.form(rules, &shared.cost(), now);
                        shared.metrics.queued(waiting.tokens());
                        // What one worker left may be enough for another.
                        if waiting.entries() > 0 {
                            shared.notify();
                        }
                        return Some(formed);
                    }
                    waiting = shared.wait(waiting, Some(closes_at));
                }
            }
        }
    }

    /// Runs a batch. When it fails and was more than one entry, each half runs by itself: whoever is to blame ends up alone,
    /// and the others are answered.
    fn run_or_halve(&mut self, mut parts: Vec<Part>) -> Outcome {
        parts.retain(|part| !part.job.is_over());
        if parts.is_empty() {
            return Outcome::Done;
        }
        let error = match self.run(&parts) {
            Ok(()) => return Outcome::Done,
            Err(Interrupted::Unwanted) => return Outcome::Done,
            Err(Interrupted::Replaced) => return Outcome::Replaced,
            Err(Interrupted::Failed(error)) => error,
        };
        let failure = is_suspicious(&error).then(|| error.to_string());
        if let [part] = parts.as_slice() {
            part.job.fail(error);
            return failure.map_or(Outcome::Done, Outcome::Suspicious);
        }
        // A session that is broken fails every half as well: ask it first what it is known to answer.
        if let Some(failure) = failure
            && self.try_canary().is_err()
        {
            for part in &parts {
                part.job
                    .fail(ScheduleError::Unhealthy { model: self.shared.model.to_string(), reason: failure.clone() });
            }
            return Outcome::Suspicious(failure);
        }
        let second = parts.split_off(parts.len() / 2);
        let mut worst = Outcome::Done;
        for half in [parts, second] {
            match self.run_or_halve(half) {
                Outcome::Done => {}
                Outcome::Replaced => return Outcome::Replaced,
                suspicious @ Outcome::Suspicious(_) => worst = suspicious,
            }
        }
        worst
    }

    /// Runs these parts together and gives each its rows.
    fn run(&mut self, parts: &[Part]) -> Result<(), Interrupted> {
        let length = parts.iter().map(|part| part.job.shape.length).max().unwrap_or(1);
        let expected_us = self.shared.cost().of(self.runner.size(parts, length));
        let slot = &self.shared.slots[self.index].slot;
        if !slot.start(self.generation, parts, Instant::now(), Duration::from_secs_f64(expected_us / 1e6)) {
            return Err(Interrupted::Unwanted);
        }
        let result = self.runner.run(parts);
        if !slot.end(self.generation) {
            return Err(Interrupted::Replaced);
        }
        let done = result.map_err(Interrupted::Failed)?;
        self.shared.observe(done.size, done.ran.infer);
        self.shared.metrics.ran(parts, &done.ran);
        self.shared.records.add(parts, &done.ran);
        for (part, outputs) in parts.iter().zip(done.outputs) {
            part.job.deliver(&self.shared.model, part.rows.len(), outputs, &done.ran);
        }
        Ok(())
    }

    /// Whether the session fails at what it is known to answer. Takes it out of service if so.
    fn is_broken(&mut self, failure: &str) -> bool {
        let Err(reason) = self.try_canary() else { return false };
        tracing::error!(model = &*self.shared.model, failure, reason, "the session is out of service");
        self.place().health.failed(reason, Instant::now());
        true
    }

    fn try_canary(&mut self) -> Result<(), String> {
        let Some(recovery) = self.place().recovery.clone() else { return Ok(()) };
        let canary = lock(&recovery).canary.clone();
        self.place().slot.start_unasked(self.generation, Instant::now());
        let outcome = self.runner.infer(&canary);
        self.place().slot.end(self.generation);
        (lock(&recovery).check)(&outcome.map_err(|error| error.to_string())?)
    }

    fn recover_place(&mut self) -> bool {
        match self.place().recovery.clone() {
            Some(recovery) => self.recover(&recovery),
            None => true,
        }
    }

    /// Tries to open the session anew until that works. `false` when nobody holds the queue any more.
    ///
    /// Entries wait for the other workers meanwhile; where there are none in service, they are refused.
    fn recover(&mut self, recovery: &Arc<Mutex<Recovery>>) -> bool {
        while let HealthState::Unhealthy { reason, retry_at, .. } = self.place().health.get() {
            if self.shared.slots.iter().all(|place| place.health.get() != HealthState::Healthy) {
                self.refuse_all(&reason);
            }
            let waiting = self.shared.waiting();
            if waiting.is_closed {
                return false;
            }
            if Instant::now() < retry_at {
                drop(self.shared.wait(waiting, Some(retry_at)));
                // Woken for an entry that another worker should take.
                if self.shared.slots.len() > 1 {
                    self.shared.notify();
                    std::thread::sleep(RECOVERY_POLL);
                }
                continue;
            }
            drop(waiting);
            self.reopen(recovery);
        }
        true
    }

    fn refuse_all(&self, reason: &str) {
        let jobs: Vec<Arc<Job>> = self.shared.waiting().drain();
        for job in jobs {
            let (model, reason) = (self.shared.model.to_string(), reason.to_owned());
            job.fail(ScheduleError::Unhealthy { model, reason });
        }
    }

    fn reopen(&mut self, recovery: &Arc<Mutex<Recovery>>) {
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (lock(recovery).reopen)()))
            .unwrap_or_else(|_| Err("opening the session panicked".to_owned()));
        let tried = opened.and_then(|session| {
            self.place().slot.replace_session(self.generation, session.canceller());
            self.runner.replace(session);
            self.try_canary()
        });
        match tried {
            Ok(()) => {
                tracing::info!(model = &*self.shared.model, "the session is back in service");
                self.place().health.recovered();
            }
            Err(reason) => {
                let retry_at = self.place().health.failed(reason.clone(), Instant::now());
                let retry_s = retry_at.saturating_duration_since(Instant::now()).as_secs();
                tracing::warn!(model = &*self.shared.model, reason, retry_s, "the session is still out of service");
            }
        }
    }

    fn place(&self) -> &WorkerPlace {
        &self.shared.slots[self.index]
    }
}

/// Why a batch has no answers.
enum Interrupted {
    /// Nobody waits for it any more.
    Unwanted,
    /// The thread was replaced while it ran.
    Replaced,
    /// It failed.
    Failed(ScheduleError),
}

/// How often a worker whose session is out of service looks whether it is woken for others.
const RECOVERY_POLL: Duration = Duration::from_millis(20);

/// Nothing that can panic is called while it is held, except what is caught.
fn lock(recovery: &Mutex<Recovery>) -> std::sync::MutexGuard<'_, Recovery> {
    recovery.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether a failure may be the session's and not its caller's.
fn is_suspicious(error: &ScheduleError) -> bool {
    match error {
        ScheduleError::Backend(BackendError::OutOfMemory { .. }) => true,
        other => matches!(other.kind(), ErrorKind::Internal | ErrorKind::Unavailable),
    }
}
