//! How long refusals took: a request that is turned away should at least know at once.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How far a request came that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalStage {
    /// Its message was not read.
    Door,
    /// It was read, and got no place or no announcement of its work.
    Admission,
    /// Its guest ran; the queue refused what it computes.
    Compute,
}

/// One histogram a stage, looked up once.
pub(super) struct RefusalSeconds {
    door: Histogram,
    admission: Histogram,
    compute: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// Upper ends in seconds; 5 ms, which refusals should stay under, is one of them.
const BUCKETS: [f64; 14] = [2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5];

impl RefusalSeconds {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family: Family<StageLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let stage = |stage| family.get_or_create_owned(&StageLabels { stage });
        let seconds = Self { door: stage("door"), admission: stage("admission"), compute: stage("compute") };
        registry.register("wisp_refusal_seconds", "Time from arrival to refusal", family);
        seconds
    }

    pub(super) fn observe(&self, stage: RefusalStage, took: Duration) {
        let histogram = match stage {
            RefusalStage::Door => &self.door,
            RefusalStage::Admission => &self.admission,
            RefusalStage::Compute => &self.compute,
        };
        histogram.observe(took.as_secs_f64());
    }
}
