//! Between the guests and a session: admission, the queue, and the worker thread that owns the session.
//!
//! ```text
//! Admission::admit ─ permit ─> guest … compute ─> SessionQueue::infer ─> queue ─> worker thread ─> Session::run
//! ```
//!
//! A request is admitted once ([`Admission`]), before any work is done for it. Each `compute` of its guest then becomes an
//! entry in the queue of a session ([`SessionQueue`]), which one thread works off in order ([`spawn`]). An entry whose
//! caller left or whose deadline passed is dropped when its turn comes, and cancelled when it is running. An inference that
//! would be late by what the queue holds is refused at once.
//!
//! Entries of different requests are not put into one inference: rows may share a batch only where the model has proven
//! on its golden vectors that they do not change each other's results, and that proof does not exist yet.

#![forbid(unsafe_code)]

mod admission;
mod entry;
mod error;
mod health;
mod load;
mod queue;
mod worker;

pub use admission::{Admission, Permit};
pub use error::ScheduleError;
pub use health::{CanaryCheck, FIRST_RETRY, HealthState, LONGEST_RETRY, Recovery, Reopen};
pub use queue::{Inferred, SessionQueue, StageTimes};
pub use worker::{QueueLimits, spawn};

#[cfg(test)]
mod tests;
