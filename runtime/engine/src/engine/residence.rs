//! Taking what is configured out of service, and back, while everything else goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_host::GrantedModel;
use wisp_scheduler::HealthState;

use super::Engine;
use super::generation::Generation;
use crate::EngineError;

/// How often it is looked whether a model has come or gone.
const POLL: Duration = Duration::from_millis(5);

/// How long is waited for requests that still compute with a model that is to be unloaded.
const LEAVING: Duration = Duration::from_secs(10);

impl Engine {
    /// Takes a deployment, or a model that clients send tensors to, out of service; the sessions of models that nothing else uses
    /// leave the memory after the last request that computes with them. With `dependents`, the models of a deployment are taken
    /// from clients as well. It stays so until [`Engine::load`], whatever configuration is put into service meanwhile.
    ///
    /// Waits until the memory is free, for some seconds at most.
    ///
    /// # Errors
    /// [`EngineError::UnknownEndpoint`] for a name that nothing has.
    pub async fn unload(&self, name: &str, dependents: bool) -> Result<(), EngineError> {
        let generation = self.shared.generation();
        generation.known(name)?;
        generation.shelf.put(name);
        if let Some(deployment) = generation.deployments.get(name).filter(|_| dependents) {
            let models = deployment.grants.iter().map(|(_, model)| &model.name);
            models.filter(|model| generation.endpoints.has_model(model)).for_each(|model| generation.shelf.put(model));
        }
        tracing::info!(name, dependents, "taken out of service on request");
        let released = generation.release_unused();
        let until = Instant::now() + LEAVING;
        while released.iter().any(|model| model.queue.is_loaded()) && Instant::now() < until {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Puts a deployment or model back into service, and waits until its models are in memory.
    ///
    /// # Errors
    /// [`EngineError::UnknownEndpoint`] for a name that nothing has, [`EngineError::NotLoaded`] when one of its models cannot be
    /// loaded now; it is tried again then by itself.
    pub async fn load(&self, name: &str) -> Result<(), EngineError> {
        let generation = self.shared.generation();
        let models = generation.known(name)?;
        generation.shelf.take(name);
        models.iter().for_each(|model| model.queue.ask_for());
        for model in models {
            while model.queue.is_awaited() {
                if let HealthState::Unhealthy { reason, .. } = model.queue.health() {
                    return Err(EngineError::NotLoaded { model: model.name.clone(), reason });
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }
}

impl Generation {
    /// The models of what has this name: of a deployment, or of an endpoint.
    fn known(&self, name: &str) -> Result<Vec<Arc<GrantedModel>>, EngineError> {
        if let Some(deployment) = self.deployments.get(name) {
            return Ok(deployment.grants.iter().map(|(_, model)| Arc::clone(model)).collect());
        }
        let target = self.endpoints.named(name)?;
        Ok(target.model.iter().map(|model| Arc::clone(&model.granted)).collect())
    }

    /// Lets the sessions of models go that are used by nothing but what is on the shelf. Returns those.
    pub(super) fn release_unused(&self) -> Vec<Arc<GrantedModel>> {
        let mut all: BTreeMap<*const GrantedModel, (Arc<GrantedModel>, bool)> = BTreeMap::new();
        let mut note = |model: &Arc<GrantedModel>, user: &str| {
            let (_, is_used) = all.entry(Arc::as_ptr(model)).or_insert_with(|| (Arc::clone(model), false));
            *is_used |= !self.shelf.has(user);
        };
        for deployment in self.deployments.values() {
            deployment.grants.iter().for_each(|(_, model)| note(model, &deployment.name));
        }
        self.endpoints.iter().for_each(|target| {
            target.model.iter().for_each(|model| note(&model.granted, &target.endpoint.name));
        });
        let unused: Vec<_> = all.into_values().filter(|(_, is_used)| !is_used).map(|(model, _)| model).collect();
        unused.iter().for_each(|model| model.queue.release());
        unused
    }
}
