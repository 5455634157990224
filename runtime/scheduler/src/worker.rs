//! The threads that own the sessions of a model: how they are started, and replaced when one hangs.

mod pin;
mod repair;
mod rest;
mod thread;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::Session;

use crate::cost::{Cost, CostModel};
use crate::health::{Health, Recovery};
use crate::metrics::{SchedulerMetrics, SessionMetrics};
use crate::queue::Handle;
use crate::residence::{OnDemand, Residence};
use crate::rules::BatchRules;
use crate::shared::{Sessions, Shared, WorkerPlace};
use crate::slot::Slot;
use crate::{ScheduleError, SessionQueue};
use repair::refuse_if_nothing_serves;
use thread::Worker;

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
    /// For a model that is loaded when it is needed: it begins without a session. `None` keeps it loaded.
    pub on_demand: Option<OnDemand>,
    /// Where figures go; `None` for nowhere.
    pub metrics: Option<SchedulerMetrics>,
}

/// A session and how it is opened again.
pub struct Served {
    /// The session.
    pub session: Box<dyn Session>,
    /// Without one, the session stays in memory and in service whatever happens.
    pub recovery: Option<Recovery>,
    /// The processor that its thread stays on; `None` for any.
    pub processor: Option<usize>,
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
            on_demand: None,
            metrics: None,
        }
    }
}

/// Gives each of `sessions`, which are of one kind, to a thread of its own and returns the handle on their common queue.
///
/// The sessions of a model on demand are closed again: they have told what they are, which is all that is needed until somebody
/// asks.
///
/// A session that no longer answers what it is known to answer is taken out of service and opened anew. The threads end when
/// the last handle is dropped and the entries queued by then are answered.
///
/// # Errors
/// When there is no session, when one on demand cannot be opened again, or the operating system refuses a thread.
pub fn spawn(config: QueueConfig, sessions: Vec<Served>) -> std::io::Result<SessionQueue> {
    let cost = CostModel::new(config.cost);
    spawn_with(config, sessions, cost)
}

pub(crate) fn spawn_with(config: QueueConfig, sessions: Vec<Served>, cost: CostModel) -> std::io::Result<SessionQueue> {
    let Some(first) = sessions.first() else { return Err(std::io::Error::other("a queue needs a session")) };
    if config.on_demand.is_some() && sessions.iter().any(|served| served.recovery.is_none()) {
        return Err(std::io::Error::other("a model on demand needs a way to be opened again"));
    }
    let info = first.session.info().clone();
    let model: Arc<str> = config.model.into();
    let rules = Arc::new(BatchRules { is_packed: BatchRules::is_packed(&info.layouts), ..config.rules });
    let metrics = SessionMetrics::of(config.metrics.as_ref(), &model, &info);
    let (places, sessions): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .map(|served| {
            let slot = Slot::new(served.session.canceller());
            let recovery = served.recovery.map(|recovery| Arc::new(Mutex::new(recovery)));
            (WorkerPlace { slot, health: Health::new(), recovery, processor: served.processor }, served.session)
        })
        .unzip();
    let places = Sessions { slots: places, residence: Residence::new(config.on_demand) };
    let shared = Arc::new(Shared::new(model, info, rules, config.limits, places, cost, metrics));
    // Made first, so that threads that were started end when a later one cannot be.
    let queue = SessionQueue { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
    for (index, session) in sessions.into_iter().enumerate() {
        let mut worker = Worker::new(&shared, index, 0);
        if !shared.residence.is_on_demand() {
            worker.begin_with(session);
        }
        start_thread(&shared, index, move || worker.work())?;
    }
    Ok(queue)
}

fn start_thread(shared: &Shared, index: usize, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let processor = shared.slots[index].processor;
    // Linux shows 15 bytes of a thread's name.
    let thread = std::thread::Builder::new().name(format!("wisp-{}", shared.model));
    let started = thread.spawn(move || {
        processor.into_iter().for_each(pin::pin);
        run();
    });
    started.map(|_| ())
}

/// Looks for inferences that will not end any more, tells their callers, and puts other threads in the place of theirs.
pub(crate) fn replace_hung(shared: &Arc<Shared>) {
    for (index, place) in shared.slots.iter().enumerate() {
        let Some(hung) = place.slot.give_up(Instant::now(), shared.limits.hang) else { continue };
        let error = || ScheduleError::Hung { model: shared.model.to_string(), ran: hung.ran };
        tracing::error!(model = &*shared.model, jobs = hung.jobs.len(), "{}; its thread is left to itself", error());
        hung.jobs.iter().for_each(|job| job.fail(error()));
        place.health.failed(error().to_string(), Instant::now());
        let Some(recovery) = place.recovery.clone() else {
            // Nobody opens another one: what waits for it would wait until its deadline.
            refuse_if_nothing_serves(shared, &error().to_string());
            continue;
        };
        let taker = Arc::clone(shared);
        let replacement = move || {
            // The thread that hangs holds its session for ever; this one opens another before anything else.
            taker.residence.rested();
            taker.residence.leave();
            let mut worker = Worker::new(&taker, index, hung.generation);
            if worker.recover(&recovery) {
                worker.work();
            }
        };
        if let Err(error) = start_thread(shared, index, replacement) {
            tracing::error!("no thread to replace one that hangs: {error}");
        }
    }
}
