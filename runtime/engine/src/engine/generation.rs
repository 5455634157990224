//! A generation: everything that one configuration put into service. A reload makes the next one and exchanges them at once.

use std::collections::BTreeMap;

use wisp_host::Host;
use wisp_model_store::{Progress, Store};

use super::host_config;
use crate::brought::Brought;
use crate::deployment::{Deployment, Place};
use crate::door::Door;
use crate::endpoint::Endpoints;
use crate::metrics::Metrics;
use crate::model::Models;
use crate::routes::Routes;
use crate::shelf::Shelf;
use crate::tenants::Tenants;
use crate::{Config, EngineError, ModelInfo, PodImage, StartError, room};

/// The deployment that answers when a request names none and there are several.
pub(super) const DEFAULT_DEPLOYMENT: &str = "embedder";

/// What is in service. Requests hold the one that they began in, so that its models and guests are there to their end.
pub(crate) struct Generation {
    pub(crate) config: Config,
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) reports: Vec<ModelInfo>,
    pub(crate) endpoints: Endpoints,
    pub(crate) door: Door,
    pub(crate) routes: Routes,
    pub(crate) tenants: Tenants,
    pub(crate) shelf: Shelf,
    host: Host,
    models: Models,
}

/// What generations are made with.
pub(crate) struct Ground<'a> {
    pub(crate) image: Option<&'a PodImage>,
    pub(crate) store: &'a Store,
    pub(crate) metrics: &'a Metrics,
    pub(crate) shelf: &'a Shelf,
    pub(crate) progress: &'a dyn Progress,
}

impl Generation {
    /// Loads every model and guest of the configuration. What `before` has of them is taken over instead of loaded: sessions
    /// of models that are the same, down to their digests.
    ///
    /// # Errors
    /// [`StartError`] naming the first model or deployment that cannot be served.
    pub(crate) fn start(config: Config, ground: &Ground<'_>, before: Option<&Self>) -> Result<Self, StartError> {
        let Ground { image, store, metrics, shelf, progress } = *ground;
        room::check(&config, image, store)?;
        let tenants = Tenants::start(&config)?;
        let host = host(&config, store, before)?;
        let known = before.map(|before| &before.models);
        let mut started = Models::within(&config.devices, known, metrics.scheduler.clone());
        let mut models = BTreeMap::new();
        let mut reports = Vec::new();
        for (granted, report) in started.start_all(&config.models, known, store, progress)? {
            models.insert(report.name.clone(), granted);
            reports.push(report);
        }
        let brought = Brought::new(store, metrics.scheduler.clone());
        let place =
            Place { image, host: &host, home: store.home(), models: &models, brought: &brought, metrics, before };
        let deployments = start_deployments(&config, &place)?;
        let bare = if config.server.bare_models { models } else { BTreeMap::new() };
        let endpoints = Endpoints::of(&deployments, &bare, metrics);
        started.divide_memory();
        Ok(Self {
            door: Door::before(&deployments, &endpoints),
            routes: super::http::routes(&deployments)?,
            models: started,
            config,
            deployments,
            reports,
            endpoints,
            tenants,
            shelf: shelf.clone(),
            host,
        })
    }

    /// The deployment of this name, or the one that answers when none is named.
    pub(crate) fn deployment(&self, name: Option<&str>) -> Result<&Deployment, EngineError> {
        let deployments = &self.deployments;
        let found = match name {
            Some(name) => deployments.get(name).ok_or_else(|| EngineError::UnknownDeployment {
                name: name.chars().take(128).collect(),
                available: self.deployment_names(),
            })?,
            None if deployments.len() == 1 => deployments.values().next().expect("there is one"),
            None => deployments
                .get(DEFAULT_DEPLOYMENT)
                .ok_or_else(|| EngineError::AmbiguousDeployment { available: self.deployment_names() })?,
        };
        self.shelf.check(&found.name)?;
        Ok(found)
    }

    /// Whether a deployment or an endpoint has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.deployments.contains_key(name) || self.endpoints.named(name).is_ok()
    }

    fn deployment_names(&self) -> String {
        let names: Vec<_> = self.deployments.keys().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// The host of the generation before, as long as its memory is divided as this configuration asks for.
fn host(config: &Config, store: &Store, before: Option<&Generation>) -> Result<Host, StartError> {
    let wanted = host_config(config, store);
    match before {
        Some(before) if host_config(&before.config, store) == wanted => Ok(before.host.clone()),
        _ => Ok(Host::new(wanted)?),
    }
}

fn start_deployments(config: &Config, place: &Place<'_>) -> Result<BTreeMap<String, Deployment>, StartError> {
    let started = config.deployments.iter().map(|(name, deployment)| {
        let deployment = Deployment::start(name, deployment, place)?;
        Ok((name.clone(), deployment))
    });
    started.collect()
}
