//! Reload: another configuration, put into service without a request noticing.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use wisp_model_store::Progress;

use super::generation::{Generation, Ground};
use super::{Engine, Shared};
use crate::{Config, StartError};

/// How often it is looked whether the last request of a generation is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Deployments that were not there before.
    pub added: Vec<String>,
    /// Deployments that are not there any more.
    pub removed: Vec<String>,
    /// Deployments that are configured otherwise than before, or whose models are.
    pub changed: Vec<String>,
    /// Tables of the configuration that changed and are not looked at before the next start.
    pub ignored: Vec<&'static str>,
}

impl Engine {
    /// Puts another configuration into service. Models and guests are loaded and proven first, beside those that serve; then
    /// they are exchanged at once. Requests in progress end with what they began with, which is unloaded after the last of them.
    /// Blocks until the exchange; one reload at a time.
    ///
    /// # Errors
    /// [`StartError`] as [`Engine::start`]; then what was in service stays so.
    pub fn reload(&self, config: Config, progress: &dyn Progress) -> Result<Reloaded, StartError> {
        let shared = &*self.shared;
        let _alone = shared.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shared.current.load_full();
        let ground = Ground {
            image: shared.image.as_ref(),
            store: &shared.store,
            metrics: &shared.metrics,
            shelf: &before.shelf,
            progress,
        };
        let next = Generation::start(config, &ground, Some(&before))?;
        let reloaded = compare(&before.config, &next.config);
        shared.metrics.loaded(&next.reports);
        next.shelf.keep(|name| next.has(name));
        next.release_unused();
        shared.current.store(Arc::new(next));
        tracing::info!(
            added = ?reloaded.added, removed = ?reloaded.removed, changed = ?reloaded.changed, "configuration reloaded"
        );
        if !reloaded.ignored.is_empty() {
            tracing::warn!(tables = ?reloaded.ignored, "these changes need a restart");
        }
        retire(before);
        Ok(reloaded)
    }
}

/// Waits for the last request of a generation on a thread of its own: unloading a model takes time that no request should take.
fn retire(generation: Arc<Generation>) {
    let began_at = Instant::now();
    let wait = move || {
        while Arc::strong_count(&generation) > 1 {
            std::thread::sleep(DRAIN_POLL);
        }
        drop(generation);
        tracing::info!(seconds = began_at.elapsed().as_secs_f64(), "what was in service before is unloaded");
    };
    if let Err(error) = std::thread::Builder::new().name("wisp-retire".to_owned()).spawn(wait) {
        // The closure is gone and its share of the generation with it: the last request unloads it.
        tracing::warn!(%error, "no thread waits for what was in service before");
    }
}

fn compare(before: &Config, next: &Config) -> Reloaded {
    let is_changed = |name: &String| {
        let (old, new) = (&before.deployments[name], &next.deployments[name]);
        let models = || new.models.values().map(|grant| &grant.model);
        old != new || models().any(|model| before.models.get(model) != next.models.get(model))
    };
    let tables = [("server", before.server != next.server), ("telemetry", before.telemetry != next.telemetry)];
    Reloaded {
        added: next.deployments.keys().filter(|name| !before.deployments.contains_key(*name)).cloned().collect(),
        removed: before.deployments.keys().filter(|name| !next.deployments.contains_key(*name)).cloned().collect(),
        changed: next
            .deployments
            .keys()
            .filter(|name| before.deployments.contains_key(*name) && is_changed(name))
            .cloned()
            .collect(),
        ignored: tables.into_iter().filter(|(_, is_changed)| *is_changed).map(|(table, _)| table).collect(),
    }
}

impl Shared {
    /// What is in service now. Whoever holds it keeps it in service for itself.
    pub(super) fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told() {
        let before = Config::default();
        assert_eq!(compare(&before, &before), Reloaded::default());
        let mut next = before.clone();
        let embedder = next.deployments.remove("embedder").expect("is the default");
        next.deployments.insert("other".to_owned(), embedder.clone());
        next.server.limits.texts = 1;
        let reloaded = compare(&before, &next);
        assert_eq!((&*reloaded.added, &*reloaded.removed), (&["other".to_owned()][..], &["embedder".to_owned()][..]));
        assert_eq!(reloaded.ignored, ["server"]);

        let mut next = before.clone();
        next.models.values_mut().for_each(|model| model.batching.enabled = false);
        assert_eq!(compare(&before, &next).changed, ["embedder"]);
    }
}
