//! The checks: what each is called, what it needs, and what it found.

mod bad_modules;
mod bad_pods;
mod cdi;
mod confinement;
mod cpu_limit;
mod drain;
mod driver;
mod embeddings;
mod image_kinds;
mod linux_pod;
mod memory_limit;
mod restart;
mod sidecar;
mod start_times;
mod ten_pods;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

use crate::node::Node;

/// What a check found when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It holds; a few words on what was seen.
    Holds(String),
    /// It cannot be tried here, and why.
    Skipped(String),
}

/// `Holds` with a text.
pub(crate) fn holds(seen: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Holds(seen.into()))
}

/// `Skipped` with a reason.
pub(crate) fn skipped(reason: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Skipped(reason.into()))
}

/// A check in the air.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;

/// One thing that must hold on every node.
pub(crate) struct Check {
    /// Its name, a behaviour.
    pub(crate) name: &'static str,
    /// Tries it. It may change the node, as long as the next check finds it working.
    pub(crate) run: for<'a> fn(&'a mut Node) -> Running<'a>,
}

/// Every check, in the order in which they run.
pub(crate) fn all() -> Vec<Check> {
    vec![
        linux_pod::CHECK,
        embeddings::CHECK,
        start_times::CHECK,
        drain::CHECK,
        image_kinds::ARTIFACT,
        image_kinds::IMAGE_VOLUME,
        sidecar::CHECK,
        cdi::LINUX,
        cdi::MODULE,
        cpu_limit::CHECK,
        memory_limit::LIMIT,
        memory_limit::NO_LIMIT,
        memory_limit::OOM,
        confinement::RIGHTS,
        confinement::DESCRIPTORS,
        confinement::ENVIRONMENT,
        confinement::FILES,
        bad_modules::TEXT,
        bad_modules::TRUNCATED,
        bad_modules::PRECOMPILED,
        bad_modules::ARTIFACT,
        bad_modules::FOREIGN,
        bad_pods::NO_MODEL,
        bad_pods::UNREADABLE,
        bad_pods::NO_FOLDER,
        bad_pods::NO_DEVICE,
        bad_pods::NO_CDI_DEVICE,
        bad_pods::NO_GPU,
        driver::BROKEN,
        bad_pods::SMALL,
        bad_pods::SAME_PORT,
        ten_pods::CHECK,
        restart::CONTAINERD,
        restart::SHIM,
    ]
}
