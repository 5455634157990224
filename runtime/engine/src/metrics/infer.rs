//! Figures of models that clients compute with, without a guest.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use wisp_core::Kinded;

use super::{DeploymentLabels, Method, Metrics, OK, RequestLabels, code, request};
use crate::EngineError;

/// The figures of a model. It stands where deployments stand: what clients name is one or the other.
pub(crate) struct ModelMetrics {
    name: String,
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn model(&self, name: &str) -> ModelMetrics {
        let labels = DeploymentLabels { deployment: name.to_owned() };
        ModelMetrics {
            name: name.to_owned(),
            requests: self.requests.clone(),
            seconds: self.seconds.get_or_create_owned(&labels),
        }
    }
}

impl ModelMetrics {
    /// A request was answered.
    pub(crate) fn answered(&self, method: Method, total: Duration) {
        self.requests.get_or_create(&request(&self.name, method, OK)).inc();
        self.seconds.observe(total.as_secs_f64());
    }

    /// A request was not answered.
    pub(crate) fn failed(&self, method: Method, error: &EngineError) {
        self.requests.get_or_create(&request(&self.name, method, code(error.kind()))).inc();
    }
}
