//! One inference on its way: its inputs, its deadline, what has been answered of it, and where the answer goes.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wisp_core::rows::gather;
use wisp_core::{NamedTensor, Tensor};

use crate::caller::Caller;
use crate::observe::{Batch, Entry, Observer, SpanIds};
use crate::shape::Shape;
use crate::{BatchShare, Inferred, ScheduleError, StageTimes};

/// What the answer goes through.
pub(crate) type Answer = oneshot::Sender<Result<Inferred, ScheduleError>>;

/// An inference that was asked for. Shared by its caller, the queue, and the worker that runs it or a part of it.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) inputs: Vec<NamedTensor>,
    pub(crate) shape: Shape,
    pub(crate) caller: Caller,
    /// Who wants to know what becomes of it.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) queued_at: Instant,
    pub(crate) deadline: Option<Instant>,
    /// Where it stands among those of its tenant: the earlier, the sooner.
    pub(crate) due: Instant,
    /// Predicted work in microseconds.
    pub(crate) work_us: f64,
    /// Nobody waits for the answer any more, or it has been given.
    is_over: AtomicBool,
    progress: Mutex<Progress>,
}

/// Rows of a job that run in one inference.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) job: Arc<Job>,
    pub(crate) rows: Range<usize>,
}

/// What has been answered so far.
struct Progress {
    answer: Option<Answer>,
    /// Outputs of the parts that are done, in the order of their rows.
    outputs: Vec<Vec<NamedTensor>>,
    rows: usize,
    times: StageTimes,
    share: BatchShare,
    /// Since when the next part waits.
    waits_since: Instant,
}

/// What an inference adds to the answer of each job in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) started_at: Instant,
    /// When its rows were put together.
    pub(crate) gathered_at: Instant,
    pub(crate) ended_at: Instant,
    pub(crate) gather: Duration,
    pub(crate) infer: Duration,
    pub(crate) share: BatchShare,
}

/// What a caller asks for, ready to be queued.
pub(crate) struct Ask {
    pub(crate) id: u64,
    pub(crate) inputs: Vec<NamedTensor>,
    pub(crate) shape: Shape,
    pub(crate) caller: Caller,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) work_us: f64,
}

/// An entry without a deadline, or with a far one, stands in its tenant's line as if it had this long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Job {
    pub(crate) fn new(ask: Ask, queued_at: Instant, answer: Answer) -> Self {
        let Ask { id, inputs, shape, caller, observer, deadline, work_us } = ask;
        let patient = queued_at + PATIENCE;
        let due = deadline.map_or(patient, |deadline| deadline.min(patient));
        let progress = Progress {
            answer: Some(answer),
            outputs: Vec::new(),
            rows: 0,
            times: StageTimes::default(),
            share: BatchShare::default(),
            waits_since: queued_at,
        };
        let (is_over, progress) = (AtomicBool::new(false), Mutex::new(progress));
        Self { id, inputs, shape, caller, observer, queued_at, deadline, due, work_us, is_over, progress }
    }

    /// Nobody waits for what is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Its caller left.
    pub(crate) fn abandon(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Tells the caller that there will be no answer.
    pub(crate) fn fail(&self, error: ScheduleError) {
        self.abandon();
        if let Some(answer) = self.progress().answer.take() {
            // The caller may have left meanwhile; then there is nobody to tell.
            let _ = answer.send(Err(error));
        }
    }

    /// Takes the outputs of its next rows, cut to its own length; the last ones make the answer.
    ///
    /// `batch` is what observers know of the inference, where there are any.
    pub(crate) fn deliver(
        &self,
        model: &str,
        rows: usize,
        outputs: Vec<NamedTensor>,
        ran: &Ran,
        batch: Option<&(SpanIds, Batch<'_>)>,
    ) {
        let mut progress = self.progress();
        if let (Some(observer), Some((batch_ids, batch))) = (&self.observer, batch) {
            observer.entry(&Entry { batch, batch_ids: *batch_ids, queued_at: progress.waits_since, rows });
        }
        let queue = ran.started_at.saturating_duration_since(progress.waits_since);
        progress.times += StageTimes { queue, gather: ran.gather, infer: ran.infer };
        progress.waits_since = ran.ended_at;
        progress.share += ran.share;
        progress.outputs.push(outputs);
        progress.rows += rows;
        if progress.rows < self.shape.rows {
            return;
        }
        self.abandon();
        let Some(answer) = progress.answer.take() else { return };
        let outputs = joined(std::mem::take(&mut progress.outputs))
            .map_err(|reason| ScheduleError::Outputs { model: model.to_owned(), reason });
        let (times, share) = (progress.times, progress.share);
        let _ = answer.send(outputs.map(|outputs| Inferred { outputs, times, share }));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Its rows of the inputs, sharing the bytes.
    pub(crate) fn inputs(&self) -> Vec<NamedTensor> {
        if self.rows.len() == self.job.shape.rows {
            return self.job.inputs.clone();
        }
        let cut = |input: &NamedTensor| {
            let rows: Tensor = input.tensor.rows(self.rows.clone()).expect("parts lie within the rows of their job");
            NamedTensor::new(&*input.name, rows)
        };
        self.job.inputs.iter().map(cut).collect()
    }

    /// Tokens of its rows that are no padding.
    pub(crate) fn tokens(&self) -> usize {
        self.job.shape.tokens_in(self.rows.len())
    }
}

/// The outputs of all parts as one; a job that was not cut is not copied.
fn joined(mut parts: Vec<Vec<NamedTensor>>) -> Result<Vec<NamedTensor>, String> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let views: Vec<&[NamedTensor]> = parts.iter().map(Vec::as_slice).collect();
    gather(&views, None).map_err(|error| format!("rows of one request came back in different shapes: {error}"))
}
