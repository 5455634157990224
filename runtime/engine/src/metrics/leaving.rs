//! Requests whose callers leave before there is an answer: they are requests like any other, and counted.

use tokio::time::Instant;
use wisp_core::ErrorKind;

use super::{DeploymentMetrics, Method, Metrics};

/// A request on its way; counts it as cancelled, or as late, when it is dropped before [`Leaving::answered`].
pub(crate) struct Leaving<'a> {
    metrics: &'a Metrics,
    deployment: &'a DeploymentMetrics,
    method: Method,
    deadline: Option<Instant>,
    is_answered: bool,
}

impl<'a> Leaving<'a> {
    pub(crate) fn new(
        metrics: &'a Metrics,
        deployment: &'a DeploymentMetrics,
        method: Method,
        deadline: Option<Instant>,
    ) -> Self {
        Self { metrics, deployment, method, deadline, is_answered: false }
    }

    /// It was answered, well or badly, and is counted as that.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        // Deadlines are enforced where the request came in, by dropping it.
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        let kind = if is_late { ErrorKind::DeadlineExceeded } else { ErrorKind::Cancelled };
        self.metrics.left(self.deployment, self.method, kind);
    }
}
