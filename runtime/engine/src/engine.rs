//! The engine itself: started from a configuration, asked for embeddings, drained.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wisp_host::{AotCache, CallTimes, EmbedCall, EmbedInputs, Embedded, GrantedModel, Host, HostConfig};
use wisp_model_store::{Progress, Store};
use wisp_scheduler::Admission;

use crate::deployment::{Deployment, DeploymentHealth};
use crate::model::Models;
use crate::request::{EmbedRequest, EmbedResponse, PlacementReport, RequestTimes};
use crate::{Config, DeploymentInfo, EngineError, ModelInfo, RequestLimits, StartError};

/// The deployment that answers when a request names none and there are several.
const DEFAULT_DEPLOYMENT: &str = "embedder";

/// How often draining looks whether the last request is done.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// A running engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    deployments: BTreeMap<String, Deployment>,
    models: Vec<ModelInfo>,
    limits: RequestLimits,
    admission: Admission,
    is_draining: AtomicBool,
}

impl Engine {
    /// Loads every model and guest of the configuration. Blocks until all of them are ready.
    ///
    /// # Errors
    /// [`StartError`] naming the first model or deployment that cannot be served. Nothing is left running.
    pub fn start(config: Config, store: &Store, progress: &dyn Progress) -> Result<Self, StartError> {
        let host = Host::new(host_config(&config, store))?;
        let mut started = Models::within(&config.devices);
        let mut models = BTreeMap::new();
        let mut reports = Vec::new();
        for (name, model_config) in &config.models {
            let (granted, report) = started.start(name, model_config, store, progress)?;
            tracing::info!(
                model = name, placement = %report.placement, precision = %report.precision, why = report.reason,
                "model loaded"
            );
            models.insert(name.clone(), granted);
            reports.push(report);
        }
        let deployments = start_deployments(&config, &host, &models)?;
        let limits = config.server.limits;
        let shared = Shared {
            deployments,
            models: reports,
            admission: Admission::new(limits.inflight_requests as usize),
            limits,
            is_draining: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Embeds texts with a deployment's guest. Dropping the future cancels the request wherever it is.
    ///
    /// # Errors
    /// [`EngineError`]; its [`kind`](wisp_core::Kinded::kind) says what a caller can do about it.
    pub async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, EngineError> {
        let arrived_at = Instant::now();
        // Admitted before the drain flag is read: a request that saw the flag unset is counted by those who wait.
        let _permit = self.shared.admission.admit().map_err(EngineError::Admission)?;
        if self.shared.is_draining.load(Ordering::SeqCst) {
            return Err(EngineError::Draining);
        }
        request.check(&self.shared.limits)?;
        let deployment = self.deployment(request.deployment.as_deref())?;
        let call = EmbedCall {
            deployment: Arc::clone(&deployment.name),
            grants: Arc::clone(&deployment.grants),
            limits: deployment.limits,
            deadline: request.deadline,
            inputs: EmbedInputs::Texts(request.texts),
            options: request.options,
        };
        let embedded = deployment.guest.embed(call).await?;
        Ok(respond(embedded, arrived_at))
    }

    /// What each deployment is.
    pub fn deployments(&self) -> impl Iterator<Item = DeploymentInfo> {
        self.shared.deployments.values().map(Deployment::info)
    }

    /// What each model runs on.
    #[must_use]
    pub fn models(&self) -> &[ModelInfo] {
        &self.shared.models
    }

    /// Whether each deployment can answer now: the first of its models that is out of service, and why.
    #[must_use]
    pub fn health(&self) -> Vec<DeploymentHealth> {
        self.shared.deployments.values().map(Deployment::health).collect()
    }

    /// The bounds of requests.
    #[must_use]
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// Refuses new requests and waits for those in the engine, at most `timeout`. Returns how many were left.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.shared.is_draining.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + timeout;
        while self.shared.admission.inflight() > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        self.shared.admission.inflight()
    }

    /// Requests that are in the engine now.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.shared.admission.inflight()
    }

    /// The guest, grants and name of a deployment, for measurements of the sandbox alone.
    #[must_use]
    pub fn guest(&self, deployment: &str) -> Option<(wisp_host::Guest, Arc<str>, Arc<wisp_host::Grants>)> {
        let found = self.shared.deployments.get(deployment)?;
        Some((found.guest.clone(), Arc::clone(&found.name), Arc::clone(&found.grants)))
    }

    fn deployment(&self, name: Option<&str>) -> Result<&Deployment, EngineError> {
        let deployments = &self.shared.deployments;
        match name {
            Some(name) => deployments.get(name).ok_or_else(|| EngineError::UnknownDeployment {
                name: name.chars().take(128).collect(),
                available: self.deployment_names(),
            }),
            None if deployments.len() == 1 => Ok(deployments.values().next().expect("there is one")),
            None => deployments
                .get(DEFAULT_DEPLOYMENT)
                .ok_or_else(|| EngineError::AmbiguousDeployment { available: self.deployment_names() }),
        }
    }

    fn deployment_names(&self) -> String {
        let names: Vec<_> = self.shared.deployments.keys().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }
}

fn host_config(config: &Config, store: &Store) -> HostConfig {
    let memory_bytes = config.deployments.values().map(|deployment| deployment.limits.memory_bytes).max();
    let defaults = HostConfig::default();
    HostConfig {
        max_instances: config.server.limits.inflight_requests,
        max_memory_bytes: memory_bytes.unwrap_or(defaults.max_memory_bytes),
        aot_cache: Some(AotCache::at(store.home().aot())),
        ..defaults
    }
}

fn start_deployments(
    config: &Config,
    host: &Host,
    models: &BTreeMap<String, Arc<GrantedModel>>,
) -> Result<BTreeMap<String, Deployment>, StartError> {
    let started = config.deployments.iter().map(|(name, deployment)| {
        let deployment = Deployment::start(name, deployment, host, models)?;
        Ok((name.clone(), deployment))
    });
    started.collect()
}

fn respond(embedded: Embedded, arrived_at: Instant) -> EmbedResponse {
    let CallTimes { tokenize, stages, .. } = embedded.times;
    let times = RequestTimes {
        queue: stages.queue,
        tokenize,
        guest: embedded.times.guest(),
        gather: stages.gather,
        infer: stages.infer,
        total: arrived_at.elapsed(),
    };
    EmbedResponse {
        placement: embedded.computed_by.as_deref().map(report),
        values: embedded.values,
        dimensions: embedded.dimensions,
        token_counts: embedded.token_counts,
        times,
    }
}

fn report(model: &GrantedModel) -> PlacementReport {
    let session = model.queue.info();
    let (placement, precision) = (session.placement, session.precision);
    PlacementReport { model: model.name.as_str().into(), placement, precision }
}
