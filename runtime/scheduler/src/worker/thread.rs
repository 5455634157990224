//! The loop of a worker thread: takes batches out of the queue, runs them, gives everybody their rows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::time::Instant;
use wisp_core::{BackendError, ErrorKind, Kinded};

use crate::ScheduleError;
use crate::cost::microseconds;
use crate::inference::Runner;
use crate::job::Part;
use crate::observe::tell_batch;
use crate::policy::close_at;
use crate::residence::Idle;
use crate::shared::{Shared, WorkerPlace};
use crate::waiting::Formed;

/// A thread with its session.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) runner: Runner,
    pub(super) index: usize,
    pub(super) generation: u64,
    /// Whether it has a session.
    pub(super) is_loaded: bool,
}

/// What a worker does next.
enum Next {
    Batch(Formed),
    /// Opens its session.
    Load,
    /// Closes it.
    Rest,
    /// Nobody holds the queue any more, and nothing is left.
    End,
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
    /// Works until nobody holds the queue any more, or another thread took its place.
    pub(super) fn work(&mut self) {
        while self.is_current() {
            let goes_on = match self.next() {
                Next::Batch(formed) => self.serve(formed),
                Next::Load => self.load(),
                Next::Rest => {
                    tracing::info!(model = &*self.shared.model, "the model is unloaded until somebody needs it");
                    self.rest();
                    true
                }
                Next::End => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Runs what was taken out of the queue. `false` when this thread cannot go on.
    fn serve(&mut self, formed: Formed) -> bool {
        for job in formed.late {
            job.fail(ScheduleError::Deadline { model: self.shared.model.to_string() });
        }
        let mut groups = self.runner.together(formed.parts).into_iter();
        while let Some(parts) = groups.next() {
            let goes_on = match self.run_or_halve(parts) {
                Outcome::Done => true,
                Outcome::Replaced => false,
                Outcome::Suspicious(failure) => !self.is_broken(&failure) || self.recover_place(),
            };
            if !goes_on {
                groups.for_each(|parts| self.leave(&parts));
                return false;
            }
        }
        true
    }

    /// Waits for something to do.
    fn next(&self) -> Next {
        let (shared, rules) = (&self.shared, &self.shared.rules);
        let mut waiting = shared.waiting();
        loop {
            let now = Instant::now();
            if self.may_rest() && shared.residence.must_leave() {
                return Next::Rest;
            }
            match waiting.waits() {
                None if waiting.is_closed => return Next::End,
                None if !self.is_loaded && shared.residence.is_asked_for() => return Next::Load,
                None => {
                    let idle = if self.may_rest() { shared.residence.idle(now) } else { Idle::Keep(None) };
                    match idle {
                        Idle::Rest => return Next::Rest,
                        Idle::Keep(until) => waiting = shared.wait(waiting, until),
                    }
                }
                Some(_) if !self.is_loaded => return Next::Load,
                Some(waits) => {
                    let closes_at = close_at(&waits, rules, now);
                    if closes_at <= now {
                        let formed = waiting.form(rules, &shared.cost(), now);
                        shared.metrics.queued(waiting.tokens());
                        // What one worker left may be enough for another.
                        if waiting.entries() > 0 {
                            shared.notify();
                        }
                        return Next::Batch(formed);
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
            Ok(()) | Err(Interrupted::Unwanted) => return Outcome::Done,
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
        match self.run_or_halve(parts) {
            Outcome::Replaced => {
                self.leave(&second);
                Outcome::Replaced
            }
            Outcome::Done => self.run_or_halve(second),
            suspicious @ Outcome::Suspicious(_) => match self.run_or_halve(second) {
                Outcome::Done => suspicious,
                other => other,
            },
        }
    }

    /// Tells entries that this thread took and cannot run any more.
    fn leave(&self, parts: &[Part]) {
        for part in parts {
            let reason = "the inference before it did not end".to_owned();
            part.job.fail(ScheduleError::Unhealthy { model: self.shared.model.to_string(), reason });
        }
    }

    /// Whether no other thread has taken its place.
    pub(super) fn is_current(&self) -> bool {
        self.place().slot.is_current(self.generation)
    }

    /// Runs these parts together and gives each its rows.
    fn run(&mut self, parts: &[Part]) -> Result<(), Interrupted> {
        let length = parts.iter().map(|part| part.job.shape.length).max().unwrap_or(1);
        let expected_us = self.shared.cost().of(self.runner.size(parts, length));
        let slot = &self.shared.slots[self.index].slot;
        let started_at = Instant::now();
        if !slot.start(self.generation, parts, started_at, microseconds(expected_us)) {
            return Err(Interrupted::Unwanted);
        }
        // Sessions are caught where they panic; this is for everything around them, so that no batch can end its thread.
        let result = catch_unwind(AssertUnwindSafe(|| self.runner.run(parts))).unwrap_or_else(|_| {
            tracing::error!(model = &*self.shared.model, "a batch panicked outside its session");
            Err(ScheduleError::Panicked { model: self.shared.model.to_string() })
        });
        if !slot.end(self.generation) {
            return Err(Interrupted::Replaced);
        }
        // Before anybody has an answer: who asks another model for something then comes later than this.
        self.shared.residence.is_used();
        let ran = result.as_ref().map(|done| &done.ran).map_err(|error| (started_at, error));
        let batch = tell_batch(&self.shared, parts, ran);
        let done = result.map_err(Interrupted::Failed)?;
        self.shared.observe(done.size, done.ran.infer);
        self.shared.metrics.ran(parts, &done.ran);
        self.shared.records.add(parts, &done.ran);
        for (part, outputs) in parts.iter().zip(done.outputs) {
            part.job.deliver(&self.shared.model, part.rows.len(), outputs, &done.ran, batch.as_ref());
        }
        Ok(())
    }

    pub(super) fn place(&self) -> &WorkerPlace {
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

/// Whether a failure may be the session's and not its caller's.
fn is_suspicious(error: &ScheduleError) -> bool {
    match error {
        ScheduleError::Backend(BackendError::OutOfMemory { .. }) => true,
        other => matches!(other.kind(), ErrorKind::Internal | ErrorKind::Unavailable),
    }
}
