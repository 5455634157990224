//! Requests by who answers them, a deployment or a model without a guest, and by how they end.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use wisp_core::{ErrorKind, Kinded};
use wisp_host::CallError;

use super::{DeploymentLabels, Method, Metrics, OK, code, request};
use crate::EngineError;

/// The handles of who answers, looked up once. A model stands where deployments stand: what clients name is one or the other.
pub(crate) struct RequestMetrics {
    name: String,
    /// One a method, made when it is first asked for.
    ok: Vec<OnceLock<Counter>>,
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn requests_of(&self, name: &str) -> RequestMetrics {
        let labels = DeploymentLabels { deployment: name.to_owned() };
        RequestMetrics {
            name: name.to_owned(),
            ok: Method::ALL.iter().map(|_| OnceLock::new()).collect(),
            seconds: self.seconds.get_or_create_owned(&labels),
        }
    }

    /// A request was answered, so long after it arrived.
    pub(crate) fn answered_in(&self, answering: &RequestMetrics, method: Method, total: Duration) {
        self.ok(answering, method).inc();
        answering.seconds.observe(total.as_secs_f64());
    }

    /// A request to whoever has this name failed; empty where nobody has it.
    pub(crate) fn failed_by(&self, name: &str, method: Method, error: &EngineError) {
        self.requests.get_or_create(&request(name, method, code(error.kind()))).inc();
        if let EngineError::Instances { .. } | EngineError::Call(CallError::Instances { .. }) = error {
            self.rejections.instances.inc();
        }
    }

    /// Nobody waited for the answer to a request any more.
    pub(super) fn left(&self, answering: &RequestMetrics, method: Method, kind: ErrorKind) {
        self.requests.get_or_create(&request(&answering.name, method, code(kind))).inc();
    }

    pub(super) fn ok<'a>(&self, answering: &'a RequestMetrics, method: Method) -> &'a Counter {
        let made = || self.requests.get_or_create_owned(&request(&answering.name, method, OK));
        answering.ok[method as usize].get_or_init(made)
    }
}

impl RequestMetrics {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}
