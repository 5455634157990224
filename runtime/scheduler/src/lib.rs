//! Between the guests and a session: admission, the queue, and the worker threads that own the sessions.
//!
//! ```text
//! Admission::admit ─ permit ─> SessionQueue::announce ─> guest … compute ─> SessionQueue::infer
//!      ─> waiting entries ─ policy ─> batch ─> worker thread ─> Session::run ─> rows back to each entry
//! ```
//!
//! A request is admitted once ([`Admission`], [`SessionQueue::announce`]), before any work is done for it. Each `compute` of
//! its guest then becomes an entry in the queue of a model ([`SessionQueue::infer`]). Workers take batches out of it: rows of
//! different requests, guests and tenants, where the model has proven that they do not change each other's results
//! ([`BatchRules`]). Which ones meet is decided by pure functions of what waits and of a cost model that is fitted while it
//! serves ([`CostModel`]); who comes first, by lane, share and deadline ([`Caller`]).
//!
//! A model can rest ([`OnDemand`], [`SessionQueue::release`]): its queue stays, its sessions are closed, and the next entry opens
//! them again. Models that share the memory of a device take turns in it ([`MemoryTurns`]).
//!
//! An entry whose caller left or whose deadline passed is dropped, and an inference is stopped when nobody in it waits any
//! more. A batch that fails is halved until the entry to blame is alone.

#![forbid(unsafe_code)]

mod admission;
mod caller;
mod cost;
mod error;
mod fair;
mod health;
mod inference;
mod job;
mod metrics;
pub mod observe;
pub mod policy;
mod queue;
mod record;
mod residence;
mod rules;
mod shape;
mod shared;
mod slot;
mod turns;
mod waiting;
mod worker;

pub use admission::{Admission, Permit};
pub use caller::{Caller, Lane, Origin, Tenant, TenantPermit};
pub use cost::{Cost, CostModel, Size};
pub use error::ScheduleError;
pub use health::{Canary, CanaryCheck, FIRST_RETRY, HealthState, LONGEST_RETRY, Recovery, Reopen};
pub use metrics::{RejectReason, SchedulerMetrics};
pub use queue::{Announced, BatchShare, Inferred, SessionQueue, StageTimes};
pub use record::{BatchRecord, Member};
pub use residence::OnDemand;
pub use rules::BatchRules;
pub use turns::{MemoryTurns, SHORTEST_STAY};
pub use worker::{QueueConfig, QueueLimits, Served, spawn};

#[cfg(test)]
mod tests;
