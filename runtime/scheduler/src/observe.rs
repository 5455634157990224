//! What becomes of a request, told to whoever wants to know it; for most requests nobody does.
//!
//! An [`Observer`] belongs to the task that works on a request ([`observed`]) and is found again wherever that task is
//! ([`current`]): in the engine, in host functions that its guest calls, and here, where its inferences are queued. So no
//! signature between them mentions it, and whatever is called for a request is observed as well. A task that is spawned for
//! it takes the observer along. Where there is none, a question of a thread-local variable is all that is done.

use std::sync::Arc;

use tokio::time::Instant;
use wisp_core::{Placement, Precision, SessionInfo};

use crate::job::{Part, Ran};
use crate::shared::Shared;
use crate::{BatchShare, ScheduleError};

tokio::task_local! {
    static OBSERVER: Option<Arc<dyn Observer>>;
}

/// What a span is called wherever it is told of. Source: the ids of W3C Trace Context; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanIds {
    /// The trace.
    pub trace: u128,
    /// The span in it.
    pub span: u64,
}

/// A part of a request's time that the host measures itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Making the guest's instance.
    Instantiate,
    /// Tokenising in the host.
    Tokenize,
}

/// Something that becomes known of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact<'a> {
    /// The deployment that answers.
    Deployment(&'a str),
    /// What is asked for.
    Method(&'static str),
    /// Texts, images or rows of tensors in it.
    Inputs(usize),
    /// Tokens that took part.
    Tokens(u64),
    /// The model that computed, and where.
    Ran {
        /// Its name.
        model: &'a str,
        /// Backend and device.
        placement: Placement,
        /// Arithmetic.
        precision: Precision,
    },
    /// Why there is no answer.
    Failure {
        /// The kind of error, in the words of the metrics.
        code: &'static str,
        /// What its caller is told.
        message: &'a str,
    },
}

/// How a call of a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd<'a> {
    /// With an answer.
    Answered,
    /// Without one, for this reason.
    Failed(&'a str),
    /// Nobody waited for it any more.
    GivenUp,
}

/// An inference that ended, with somebody in it who is observed.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// What ran it.
    pub session: &'a SessionInfo,
    /// When its rows began to be put together.
    pub started_at: Instant,
    /// When they were.
    pub gathered_at: Instant,
    /// When the session was done.
    pub inferred_at: Instant,
    /// When the results were taken apart.
    pub ended_at: Instant,
    /// Rows and tokens in it.
    pub share: BatchShare,
    /// Entries in it, observed or not.
    pub entries: usize,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The observed requests in it, each once.
    pub requests: Vec<SpanIds>,
}

/// What an inference was to one of the entries in it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The inference.
    pub batch: &'a Batch<'a>,
    /// What it is called.
    pub batch_ids: SpanIds,
    /// Since when the entry waited.
    pub queued_at: Instant,
    /// Rows of the entry in it.
    pub rows: usize,
}

/// Wants to know what becomes of one request, or of one call of a guest for it.
///
/// Called by whoever does the work, between two steps of it: nothing here may wait.
pub trait Observer: Send + Sync {
    /// What it is called.
    fn ids(&self) -> SpanIds;

    /// What other services have to say of the trace, for those that are asked next. Source: W3C Trace Context, `tracestate`.
    fn trace_state(&self) -> Option<String>;

    /// Something became known.
    fn note(&self, fact: Fact<'_>);

    /// A stage is over.
    fn stage(&self, stage: Stage, from: Instant, to: Instant);

    /// A guest begins to work on it. Who is returned is told what that does.
    fn guest(&self, deployment: &str) -> Arc<dyn Observer>;

    /// The guest is done. Told to what [`Observer::guest`] returned, at most once.
    fn guest_ended(&self, end: CallEnd<'_>);

    /// An inference ended: told once, to the first of those who are in it. Returns what it is called.
    fn batch(&self, batch: &Batch<'_>) -> SpanIds;

    /// An entry of the request was in an inference that succeeded.
    fn entry(&self, entry: &Entry<'_>);
}

/// Who observes the request that this task works on.
#[must_use]
pub fn current() -> Option<Arc<dyn Observer>> {
    OBSERVER.try_with(Option::clone).ok().flatten()
}

/// Tells whoever observes the request that this task works on; otherwise does nothing.
pub fn tell(of: impl FnOnce(&dyn Observer)) {
    // No observer, nobody to tell.
    let _ = OBSERVER.try_with(|observer| observer.as_deref().map(of));
}

/// Works on a request that somebody observes, or nobody.
pub fn observed<F: Future>(observer: Option<Arc<dyn Observer>>, work: F) -> impl Future<Output = F::Output> {
    OBSERVER.scope(observer, work)
}

/// Does something for a request that somebody observes, or nobody, at once.
pub fn observed_now<T>(observer: Option<Arc<dyn Observer>>, work: impl FnOnce() -> T) -> T {
    OBSERVER.sync_scope(observer, work)
}

/// A call of a guest, from now until this is dropped, however it ends.
#[must_use = "the call is over when this is dropped"]
pub struct GuestCall {
    observer: Option<Arc<dyn Observer>>,
    /// What came of it; nothing yet.
    outcome: Option<Result<(), String>>,
}

impl GuestCall {
    /// A guest begins to work on the request of this task.
    pub fn begin(deployment: &str) -> Self {
        let observer = OBSERVER.try_with(|observer| observer.as_ref().map(|observer| observer.guest(deployment)));
        Self { observer: observer.ok().flatten(), outcome: None }
    }

    /// Has the guest work; what it does is told as the call's.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn run<T, E: std::fmt::Display>(mut self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let done = observed(self.observer.clone(), work).await;
        if self.observer.is_some() {
            self.outcome = Some(done.as_ref().map(|_| ()).map_err(ToString::to_string));
        }
        done
    }
}

impl Drop for GuestCall {
    fn drop(&mut self) {
        let Some(observer) = &self.observer else { return };
        observer.guest_ended(match &self.outcome {
            None => CallEnd::GivenUp,
            Some(Ok(())) => CallEnd::Answered,
            Some(Err(reason)) => CallEnd::Failed(reason),
        });
    }
}

/// Tells the first observed request of a batch, if there is one.
pub(crate) fn tell_batch<'a>(
    shared: &'a Shared,
    parts: &[Part],
    ran: Result<&Ran, (Instant, &ScheduleError)>,
) -> Option<(SpanIds, Batch<'a>)> {
    let first = parts.iter().find_map(|part| part.job.observer.as_ref())?;
    let mut requests: Vec<SpanIds> = Vec::new();
    for ids in parts.iter().filter_map(|part| Some(part.job.observer.as_ref()?.ids())) {
        if !requests.contains(&ids) {
            requests.push(ids);
        }
    }
    let (model, session, entries) = (&*shared.model, &shared.info, parts.len());
    let batch = match ran {
        Ok(ran) => Batch {
            model,
            session,
            started_at: ran.started_at,
            gathered_at: ran.gathered_at,
            inferred_at: ran.gathered_at + ran.infer,
            ended_at: ran.ended_at,
            share: ran.share,
            entries,
            failure: None,
            requests,
        },
        Err((started_at, failure)) => {
            let ended_at = Instant::now();
            let rows = parts.iter().map(|part| part.rows.len() as u64).sum();
            let share = BatchShare { inferences: 1, rows, ..BatchShare::default() };
            let (gathered_at, inferred_at, failure) = (started_at, ended_at, Some(failure.to_string()));
            Batch { model, session, started_at, gathered_at, inferred_at, ended_at, share, entries, failure, requests }
        }
    };
    Some((first.batch(&batch), batch))
}

impl std::fmt::Debug for GuestCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestCall").field("is_observed", &self.observer.is_some()).finish_non_exhaustive()
    }
}
