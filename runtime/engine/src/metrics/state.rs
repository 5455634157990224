//! What deployments keep from one request to the next, asked of them when figures are wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use wisp_host::{KeptTensors, StateFigures};

/// The deployments that may keep something, as long as they exist.
#[derive(Clone, Debug, Default)]
pub(super) struct StateCollector(Arc<Mutex<BTreeMap<String, Vec<Weak<KeptTensors>>>>>);

impl StateCollector {
    /// Figures of this deployment from now on, in place of those of an earlier one of its name.
    pub(super) fn follow(&self, deployment: &str, kept: &Arc<KeptTensors>) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same_name = followed.entry(deployment.to_owned()).or_default();
        // The earlier one comes back if this one never goes into service.
        same_name.retain(|earlier| earlier.strong_count() > 0);
        same_name.push(Arc::downgrade(kept));
    }

    fn figures(&self) -> Vec<(String, StateFigures)> {
        let followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = |kept: &[Weak<KeptTensors>]| kept.iter().rev().find_map(Weak::upgrade);
        followed.iter().filter_map(|(name, kept)| Some((name.clone(), latest(kept)?.figures()))).collect()
    }
}

impl Collector for StateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.figures();
        gauge(&mut encoder, &figures, "wisp_state_bytes", "Bytes that deployments keep", |figures| figures.bytes)?;
        let help = "Tensors that deployments keep";
        gauge(&mut encoder, &figures, "wisp_state_entries", help, |figures| figures.entries)?;
        let help = "Questions for tensors that were kept, answered";
        counter(&mut encoder, &figures, "wisp_state_hits", help, |figures| figures.hits)?;
        let help = "Questions for tensors that are not kept";
        counter(&mut encoder, &figures, "wisp_state_misses", help, |figures| figures.misses)?;
        let help = "Kept tensors that made room for others";
        counter(&mut encoder, &figures, "wisp_state_evictions", help, |figures| figures.evictions)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    figures: &[(String, StateFigures)],
    name: &str,
    help: &str,
    value: impl Fn(&StateFigures) -> usize,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (deployment, figures) in figures {
        let gauge = ConstGauge::new(i64::try_from(value(figures)).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[("deployment", deployment.as_str())])?)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    figures: &[(String, StateFigures)],
    name: &str,
    help: &str,
    value: impl Fn(&StateFigures) -> u64,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (deployment, figures) in figures {
        let counter = ConstCounter::new(value(figures));
        counter.encode(family.encode_family(&[("deployment", deployment.as_str())])?)?;
    }
    Ok(())
}
