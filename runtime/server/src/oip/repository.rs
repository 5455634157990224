//! The repository: what is configured, whether it can answer, and what becomes of it on request.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tonic::Status;
use wisp_engine::{Endpoint, Engine, Tenant};

use super::error::OipError;
use super::{OpenInference, VERSION};
use crate::identity;

/// One line of the index.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Indexed {
    pub(crate) name: String,
    pub(crate) version: &'static str,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
}

/// What somebody who may asks to be done with a model.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) repository: &'a str,
    pub(crate) model: &'a str,
    pub(crate) parameters: Parameters,
    pub(crate) by: Tenant,
}

/// How it is to be done. Sources: Triton's extensions of the protocol, "model repository" and its `unload_dependents`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Whether the models of a deployment are unloaded with it.
    pub(crate) unload_dependents: bool,
}

impl Parameters {
    /// The name of the only one.
    pub(crate) const UNLOAD_DEPENDENTS: &str = "unload_dependents";

    /// What is refused is not done in part: a client that sends a model's files would think that they are served.
    pub(crate) fn unknown(name: &str) -> OipError {
        let name: String = name.chars().take(128).collect();
        OipError::Unsupported(format!(
            "parameter `{name}` is not supported: models and their settings come from the configuration; there is `{}`",
            Self::UNLOAD_DEPENDENTS
        ))
    }
}

const READY: &str = "READY";
const UNAVAILABLE: &str = "UNAVAILABLE";

/// Every deployment and model, in the order of the names; or only those that can answer.
pub(crate) fn index(engine: &Engine, repository: &str, only_ready: bool) -> Result<Vec<Indexed>, OipError> {
    check_repository(repository)?;
    let line = |endpoint: Arc<Endpoint>| {
        // What is gone since the list was made is not listed.
        let problem = engine.endpoint_problem(&endpoint.name).ok()?;
        let state = if problem.is_none() { READY } else { UNAVAILABLE };
        let name = endpoint.name.clone();
        Some(Indexed { name, version: VERSION, state, reason: problem.unwrap_or_default() })
    };
    let mut lines: Vec<_> = engine.endpoints().into_iter().filter_map(line).collect();
    lines.retain(|line| !only_ready || line.state == READY);
    Ok(lines)
}

/// The tenant that may change what is in service.
///
/// The listeners for inference are open to more than the one for operators: where nobody was given the scope, nobody has it here.
pub(crate) fn administrator(engine: &Engine, headers: &HeaderMap, extensions: &Extensions) -> Result<Tenant, OipError> {
    if !engine.has_administrator() {
        let message =
            "no tenant may change what is in service; add \"admin\" to the scopes of one under [tenants.NAME]";
        return Err(OipError::Identity(Status::permission_denied(message)));
    }
    identity::administrator(engine, headers, extensions).map_err(OipError::Identity)
}

/// Reads the configuration again, if there is one, which must then have this model, and puts all of it into service: models and
/// deployments that did not change go on as they are. What was unloaded on request is in memory again afterwards.
pub(crate) async fn load(service: &OpenInference, change: Change<'_>) -> Result<(), OipError> {
    check_repository(change.repository)?;
    tracing::info!(model = change.model, by = change.by.name(), "a client asks to load a model");
    if let Some(reload) = service.reload.clone() {
        let reloaded = tokio::task::spawn_blocking(move || reload()).await;
        let reloaded = reloaded.unwrap_or_else(|error| Err(format!("loading ended early: {error}")));
        reloaded.map_err(OipError::Load)?;
    }
    Ok(service.engine.load(change.model).await?)
}

/// Takes a deployment or a model out of service, and out of memory what nothing else uses.
pub(crate) async fn unload(service: &OpenInference, change: Change<'_>) -> Result<(), OipError> {
    check_repository(change.repository)?;
    tracing::info!(model = change.model, by = change.by.name(), "a client asks to unload a model");
    Ok(service.engine.unload(change.model, change.parameters.unload_dependents).await?)
}

fn check_repository(name: &str) -> Result<(), OipError> {
    if name.is_empty() {
        return Ok(());
    }
    let message = "there is one repository, the configuration; leave repository_name out";
    Err(OipError::Unsupported(message.to_owned()))
}
