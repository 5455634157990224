//! The repository: what is configured, whether it can answer, and what becomes of it on request.

use wisp_engine::{Endpoint, Engine};

use super::VERSION;
use super::error::OipError;

/// One line of the index.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Indexed {
    pub(crate) name: String,
    pub(crate) version: &'static str,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
}

/// What is done with a model on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Load,
    Unload,
}

const READY: &str = "READY";
const UNAVAILABLE: &str = "UNAVAILABLE";

/// Every deployment and model, in the order of the names; or only those that can answer.
pub(crate) fn index(engine: &Engine, repository: &str, only_ready: bool) -> Result<Vec<Indexed>, OipError> {
    check_repository(repository)?;
    let line = |endpoint: std::sync::Arc<Endpoint>| {
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

/// Loads a model or takes it out of memory.
pub(crate) fn change(engine: &Engine, repository: &str, model: &str, change: Change) -> Result<(), OipError> {
    check_repository(repository)?;
    engine.endpoint(model)?;
    let verb = match change {
        Change::Load => "loaded",
        Change::Unload => "unloaded",
    };
    let message =
        format!("model `{model}` cannot be {verb} by clients; change the configuration and start the server anew");
    Err(OipError::Unsupported(message))
}

fn check_repository(name: &str) -> Result<(), OipError> {
    if name.is_empty() {
        return Ok(());
    }
    let message = "there is one repository, the configuration; leave repository_name out";
    Err(OipError::Unsupported(message.to_owned()))
}
