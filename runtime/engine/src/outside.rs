//! From the grants of a configuration to those of the host, when a deployment starts.

use std::sync::Arc;

use wisp_host::{DirGrant, Outside};

use crate::StartError;
use crate::brought::Brought;
use crate::config::{DirConfig, EnvConfig, GrantsConfig};

/// What a deployment is granted besides models.
///
/// # Errors
/// [`StartError::Grant`] for a folder that is not there, or a variable without a value.
pub(crate) fn outside(name: &str, grants: &GrantsConfig, brought: &Arc<Brought>) -> Result<Outside, StartError> {
    let refuse = |reason: String| StartError::Grant { deployment: name.to_owned(), reason };
    Ok(Outside {
        dirs: grants.dirs.iter().map(dir).collect::<Result<_, _>>().map_err(refuse)?,
        env: grants.env.iter().map(variable).collect::<Result<_, _>>().map_err(refuse)?,
        http: grants.http.clone(),
        loader: brought.granted(&grants.load),
        kept_tensors: None,
        written_in: grants.written_in,
    })
}

fn dir(dir: &DirConfig) -> Result<DirGrant, String> {
    let DirConfig { host, guest } = dir;
    match host.is_dir() {
        true => Ok(DirGrant { host: host.clone(), guest: guest.clone(), may_write: false }),
        false => Err(format!("grants.dirs: {} is no folder", host.display())),
    }
}

fn variable(env: &EnvConfig) -> Result<(String, String), String> {
    let EnvConfig { name, value } = env;
    let value = match value {
        Some(value) => value.clone(),
        None => std::env::var(name)
            .map_err(|error| format!("grants.env: `{name}` has no value here ({error}); write \"{name}=VALUE\""))?,
    };
    Ok((name.clone(), value))
}
