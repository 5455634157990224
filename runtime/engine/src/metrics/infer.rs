//! Figures of models that clients compute with, without a guest.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::{DeploymentLabels, Metrics, request};
use crate::EngineError;

/// What was asked for, as a label.
const INFER: &str = "infer";

/// The handles of a model, looked up once. It stands where deployments stand: what clients name is one or the other.
pub(crate) struct ModelMetrics {
    ok: Counter,
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn model(&self, name: &str) -> ModelMetrics {
        let labels = DeploymentLabels { deployment: name.to_owned() };
        ModelMetrics {
            ok: self.requests.get_or_create_owned(&request(name, INFER, "ok")),
            seconds: self.seconds.get_or_create_owned(&labels),
        }
    }

    /// Tensors were not answered. The name is empty where nothing is called so: clients must not be able to make up series.
    pub(crate) fn failed_inference(&self, name: &str, error: &EngineError) {
        self.count(name, INFER, error);
    }
}

impl ModelMetrics {
    /// A request was answered.
    pub(crate) fn answered(&self, total: Duration) {
        self.ok.inc();
        self.seconds.observe(total.as_secs_f64());
    }
}
