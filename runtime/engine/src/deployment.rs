//! A deployment: a guest, the models granted to it, and its limits, under a name.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wisp_host::{GrantedModel, Grants, Guest, Host, HostConfig, HostError, Limits};
use wisp_model_store::{Home, PinnedArtifact};
use wisp_scheduler::HealthState;

use crate::config::{DeploymentConfig, check_guest_file};
use crate::estimate::TokenRatio;
use crate::metrics::{DeploymentMetrics, Metrics};
use crate::{BUILTIN_PREFIX, IMAGE_GUEST, PodImage, StartError, builtin};

/// A deployment in service.
pub(crate) struct Deployment {
    pub(crate) name: Arc<str>,
    pub(crate) guest: Guest,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
    pub(crate) metrics: DeploymentMetrics,
    /// Tokens a byte of what it is sent.
    pub(crate) ratio: TokenRatio,
}

/// A deployment, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentInfo {
    /// Its name.
    pub name: String,
    /// Its guest, as configured.
    pub guest: String,
    /// Size of the guest's module in bytes.
    pub wasm_bytes: usize,
    /// The granted models: alias and name.
    pub models: Vec<(String, String)>,
}

/// Whether a deployment can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentHealth {
    /// Its name.
    pub name: String,
    /// What is out of service, and why; `None` when it can answer.
    pub problem: Option<String>,
}

impl Deployment {
    pub(crate) fn health(&self) -> DeploymentHealth {
        let problem = self.grants.iter().find_map(|(_, model)| match model.queue.health() {
            HealthState::Healthy => None,
            HealthState::Unhealthy { reason, .. } => Some(format!("model `{}`: {reason}", model.name)),
        });
        DeploymentHealth { name: self.name.to_string(), problem }
    }

    pub(crate) fn start(
        name: &str,
        config: &DeploymentConfig,
        image: Option<&PodImage>,
        host: &Host,
        home: &Home,
        models: &BTreeMap<String, Arc<GrantedModel>>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let guest = match (image, config.guest.strip_prefix(BUILTIN_PREFIX)) {
            (Some(image), _) if config.guest == IMAGE_GUEST => load_image(image, host)?,
            (_, Some(builtin)) => host.load(&config.guest, builtin_guest(name, builtin)?)?,
            (_, None) => host.load(&config.guest, &read_guest(name, &guest_path(name, &config.guest, home)?)?)?,
        };
        // The configuration was checked: every granted model exists in it, and all of them were started.
        let granted =
            config.models.iter().filter_map(|(alias, model)| Some((alias.clone(), models.get(model)?.clone())));
        let (grants, limits) = (Arc::new(Grants::new(granted)), Limits::from(&config.limits));
        let (metrics, ratio) = (metrics.deployment(name), TokenRatio::default());
        Ok(Self { name: name.into(), guest, grants, limits, metrics, ratio })
    }

    /// Longest text of its models, in tokens; the host's tokenizers cut there.
    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let of_model = |model: &GrantedModel| Some(model.tokenizer.as_ref()?.options().max_tokens);
        self.grants.iter().filter_map(|(_, model)| of_model(model)).max()
    }

    pub(crate) fn info(&self) -> DeploymentInfo {
        DeploymentInfo {
            name: self.name.to_string(),
            guest: self.guest.name().to_owned(),
            wasm_bytes: self.guest.wasm_bytes(),
            models: self.grants.iter().map(|(alias, model)| (alias.to_owned(), model.name.clone())).collect(),
        }
    }
}

fn load_image(image: &PodImage, host: &Host) -> Result<Guest, HostError> {
    match &image.code {
        Some(code) => host.load_with_code(IMAGE_GUEST, &image.wasm, code),
        None => host.load(IMAGE_GUEST, &image.wasm),
    }
}

fn builtin_guest(deployment: &str, guest: &str) -> Result<&'static [u8], StartError> {
    builtin::guest(guest).ok_or_else(|| StartError::NotBuiltIn {
        deployment: deployment.to_owned(),
        guest: guest.to_owned(),
        available: builtin::names(),
    })
}

/// Where a guest that is not built in lies.
fn guest_path(deployment: &str, guest: &str, home: &Home) -> Result<PathBuf, StartError> {
    let Some(artifact) = PinnedArtifact::parse(guest) else { return Ok(PathBuf::from(guest)) };
    let failed = |reason: String| StartError::GuestArtifact { deployment: deployment.to_owned(), reason };
    let artifact = artifact.map_err(|error| failed(error.to_string()))?;
    let (path, reference) = (home.artifact_module(artifact.digest()), artifact.reference());
    match path.is_file() {
        true => Ok(path),
        false if home.artifact_model(artifact.digest()).is_dir() => {
            Err(failed(format!("`oci:{reference}` is a model, not a Wasm module; name it as the source of a model")))
        }
        false => Err(failed(format!(
            "`oci:{reference}` is not in the cache; run `wisp pull {reference}` where the registry is"
        ))),
    }
}

fn read_guest(deployment: &str, path: &Path) -> Result<Vec<u8>, StartError> {
    let failed = |source| StartError::GuestFile { deployment: deployment.to_owned(), path: path.to_owned(), source };
    // Reading a pipe or a device would wait, or never end.
    check_guest_file(path).map_err(|reason| failed(std::io::Error::other(reason)))?;
    let mut wasm = Vec::new();
    // One byte more than is compiled, so that a file that is too long is refused by name of the limit.
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(HostConfig::default().max_module_bytes as u64 + 1).read_to_end(&mut wasm).map_err(failed)?;
    Ok(wasm)
}
