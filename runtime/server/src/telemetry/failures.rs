//! The log line of a request that failed, with its trace, so that the one is found from the other.

use std::time::Duration;

use wisp_engine::observe::SpanIds;

use super::request::Outcome;
use super::seldom::Seldom;

/// How often failures that are this service's fault are told without being asked for.
const SILENCE: Duration = Duration::from_secs(1);

/// Writes those lines.
pub(super) struct Failures {
    own: Seldom,
}

impl Failures {
    pub(super) fn new() -> Self {
        Self { own: Seldom::every(SILENCE) }
    }

    /// Tells of a request that ended badly: at level debug, for clients make mistakes and leave all day long; a fault of this
    /// service at level warn, once a second.
    pub(super) fn tell(&self, what: Option<&str>, trace: Option<SpanIds>, outcome: &Outcome) {
        let (status, reason) = match outcome {
            Outcome::Grpc(tonic::Code::Ok, _) => return,
            Outcome::Http(status) if *status < 400 => return,
            Outcome::Grpc(code, message) => (format!("{code:?}"), message.as_str()),
            Outcome::Http(status) => (status.to_string(), ""),
            Outcome::Left => ("Cancelled".to_owned(), "nobody waited for the answer any more"),
        };
        let trace_id = trace.map(|ids| format!("{:032x}", ids.trace));
        let what = what.unwrap_or_default();
        if is_fault(outcome)
            && let Some(held_back) = self.own.pass()
        {
            tracing::warn!(what, status, reason, trace_id, held_back, "a request failed");
        } else {
            tracing::debug!(what, status, reason, trace_id, "a request failed");
        }
    }
}

/// What should not happen, whatever clients send. That the service is full, or slow, its figures say.
fn is_fault(outcome: &Outcome) -> bool {
    use tonic::Code::{DataLoss, Internal, Unknown};
    match outcome {
        Outcome::Grpc(code, _) => matches!(code, Unknown | Internal | DataLoss),
        Outcome::Http(status) => *status == 500,
        Outcome::Left => false,
    }
}
