//! A deployment: a guest, the models granted to it, and its limits, under a name.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wisp_host::{
    GrantedModel, Grants, Guest, GuestKind, Host, HostConfig, KeptTensors, Limits, Loading, ModelGrant, Outside,
    StateLimits,
};
use wisp_model_store::{Home, PinnedArtifact};
use wisp_scheduler::{Announced, Caller, HealthState};

use crate::brought::Brought;
use crate::config::{DeploymentConfig, InstancesChoice, check_guest_file};
use crate::engine::Generation;
use crate::estimate::TokenRatio;
use crate::instances::Instances;
use crate::metrics::{DeploymentMetrics, Metrics};
use crate::outside::outside;
use crate::shelf::Shelf;
use crate::{BUILTIN_PREFIX, EngineError, IMAGE_GUEST, PodImage, StartError, builtin, trust};

/// What a built-in guest may keep where the configuration says nothing: vectors of some thousand labels.
const BUILTIN_STATE_BYTES: usize = 8 << 20;

/// A deployment in service.
pub(crate) struct Deployment {
    pub(crate) name: Arc<str>,
    pub(crate) guest: Guest,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
    /// The bound on its instances, if it has one of its own.
    pub(crate) instances: Option<Instances>,
    /// For HTTP applications: how the paths begin that it answers.
    pub(crate) route: Option<String>,
    pub(crate) metrics: DeploymentMetrics,
    /// Tokens a byte of what it is sent.
    pub(crate) ratio: TokenRatio,
}

/// Where deployments are started: what all of them have in common.
pub(crate) struct Place<'a> {
    pub(crate) image: Option<&'a PodImage>,
    pub(crate) host: &'a Host,
    pub(crate) home: &'a Home,
    pub(crate) models: &'a BTreeMap<String, Arc<GrantedModel>>,
    pub(crate) brought: &'a Arc<Brought>,
    pub(crate) metrics: &'a Metrics,
    /// What is in service now.
    pub(crate) before: Option<&'a Generation>,
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
    /// What the guest is called as.
    pub kind: GuestKind,
    /// The granted models: alias and name.
    pub models: Vec<(String, String)>,
    /// What one instance may use.
    pub limits: Limits,
    /// How many instances there may be at one time, where that is bounded.
    pub instances: Option<u32>,
    /// For HTTP applications: how the paths begin that it answers.
    pub route: Option<String>,
}

/// Whether a deployment can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentHealth {
    /// Its name.
    pub name: String,
    /// What is out of service, and why; `None` when it can answer.
    pub problem: Option<String>,
}

impl DeploymentHealth {
    pub(crate) fn of(name: &str, shelf: &Shelf, problem: impl FnOnce() -> Option<String>) -> Self {
        let problem = if shelf.has(name) { Some(Shelf::PROBLEM.to_owned()) } else { problem() };
        Self { name: name.to_owned(), problem }
    }
}

impl Deployment {
    pub(crate) fn health(&self, shelf: &Shelf) -> DeploymentHealth {
        let problem = || {
            self.grants.iter().find_map(|(_, model)| match model.queue.health() {
                HealthState::Healthy => None,
                HealthState::Unhealthy { reason, .. } => Some(format!("model `{}`: {reason}", model.name)),
            })
        };
        DeploymentHealth::of(&self.name, shelf, problem)
    }

    /// Loads and links its guest, and gathers what that may use.
    ///
    /// # Errors
    /// [`StartError`] naming the deployment and what is wrong.
    pub(crate) fn start(name: &str, config: &DeploymentConfig, place: &Place<'_>) -> Result<Self, StartError> {
        let guest = load(name, config, place)?;
        let models = config.models.iter().filter_map(|(alias, grant)| {
            // The configuration was checked: every granted model exists in it, and all of them were started.
            let model = Arc::clone(place.models.get(&grant.model)?);
            let deadline = grant.deadline_ms.map(Duration::from_millis);
            Some((alias.clone(), ModelGrant { model, max_rows: grant.max_rows, deadline }))
        });
        let models: Vec<_> = models.collect();
        let earlier = place.before.and_then(|before| {
            let is_same = before.config.deployments.get(name) == Some(config);
            before.deployments.get(name).filter(|earlier| is_same && earlier.is_of(&guest, &models))
        });
        // What the same guest kept of the same models is as good as it was.
        let kept_tensors = match earlier {
            Some(earlier) => earlier.grants.outside().kept_tensors.clone(),
            None => kept_tensors(config),
        };
        if let Some(kept) = &kept_tensors {
            place.metrics.keeps(name, kept);
        }
        let outside = Outside { kept_tensors, ..outside(name, &config.grants, place.brought)? };
        let grants = Grants::new(models).with_outside(outside);
        Ok(Self {
            name: name.into(),
            guest,
            grants: Arc::new(grants),
            limits: Limits::from(&config.limits),
            instances: config.limits.instances.map(|limit| Instances::within(name, limit)),
            route: config.route.clone(),
            metrics: place.metrics.deployment(name),
            ratio: TokenRatio::default(),
        })
    }

    /// Whether this is the same module with the same models in memory.
    fn is_of(&self, guest: &Guest, models: &[(String, ModelGrant)]) -> bool {
        let is_granted = |(alias, grant): &(String, ModelGrant)| {
            self.grants.iter().any(|(own, model)| own == alias && Arc::ptr_eq(model, &grant.model))
        };
        self.guest.origin() == guest.origin() && models.iter().all(is_granted)
    }

    /// Longest text of its models, in tokens; the host's tokenizers cut there.
    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let of_model = |model: &GrantedModel| Some(model.tokenizer.as_ref()?.options().max_tokens);
        self.grants.iter().filter_map(|(_, model)| of_model(model)).max()
    }

    /// Announces the work of a request to every model that the guest may use, before anything is done for it.
    pub(crate) fn announce(
        &self,
        rows: usize,
        tokens: usize,
        deadline: Option<Instant>,
        caller: &Caller,
        arrived_at: Instant,
    ) -> Result<Vec<(Arc<GrantedModel>, Announced)>, EngineError> {
        let wall_end = arrived_at + self.limits.wall;
        let deadline = deadline.map_or(wall_end, |deadline| deadline.min(wall_end));
        let announced = self.grants.iter().map(|(_, model)| {
            let announced = model.queue.announce(caller, rows, tokens, Some(deadline));
            announced.map(|announced| (Arc::clone(model), announced)).map_err(EngineError::Admission)
        });
        announced.collect()
    }

    /// A place for one more instance, where the deployment has a bound of its own.
    pub(crate) fn take_place(&self) -> Result<Option<OwnedSemaphorePermit>, EngineError> {
        self.instances.as_ref().map(Instances::take).transpose()
    }

    pub(crate) fn info(&self) -> DeploymentInfo {
        DeploymentInfo {
            name: self.name.to_string(),
            guest: self.guest.name().to_owned(),
            wasm_bytes: self.guest.wasm_bytes(),
            kind: self.guest.kind(),
            models: self.grants.iter().map(|(alias, model)| (alias.to_owned(), model.name.clone())).collect(),
            limits: self.limits,
            instances: self.instances.as_ref().map(Instances::limit),
            route: self.route.clone(),
        }
    }
}

/// What the guest may keep from one request to the next: what the configuration says, and without that a little for guests that
/// are part of this binary. Others could pass on what one request told them to whoever asks next.
fn kept_tensors(config: &DeploymentConfig) -> Option<Arc<KeptTensors>> {
    let is_ours = config.guest.starts_with(BUILTIN_PREFIX);
    let bytes = config.limits.state_bytes.unwrap_or(if is_ours { BUILTIN_STATE_BYTES } else { 0 });
    let limits = StateLimits { bytes, entries: config.limits.state_entries };
    (bytes > 0).then(|| Arc::new(KeptTensors::within(limits)))
}

/// The guest, if it is the one that may be compiled.
fn load(name: &str, config: &DeploymentConfig, place: &Place<'_>) -> Result<Guest, StartError> {
    let limits = &config.limits;
    let trusted = |file: Option<&Path>, wasm: &[u8]| {
        trust::check(&config.trust, file, wasm).map_err(|source| StartError::Trust {
            deployment: name.to_owned(),
            guest: config.guest.clone(),
            source,
        })
    };
    let mut loading = Loading {
        code: None,
        is_metered: limits.fuel.is_some(),
        compile_limit: Some(Duration::from_millis(limits.compile_ms)),
        max_module_bytes: Some(limits.module_bytes),
    };
    let guest = match (place.image, config.guest.strip_prefix(BUILTIN_PREFIX)) {
        (Some(image), _) if config.guest == IMAGE_GUEST => {
            trusted(None, &image.wasm)?;
            loading.code = image.code.as_ref();
            place.host.load_as(IMAGE_GUEST, &image.wasm, loading)?
        }
        (_, Some(builtin)) => {
            let wasm = builtin_guest(name, builtin)?;
            trusted(None, wasm)?;
            place.host.load_as(&config.guest, wasm, loading)?
        }
        (_, None) => {
            let path = guest_path(name, &config.guest, place.home)?;
            let wasm = read_guest(name, &path)?;
            trusted(Some(&path), &wasm)?;
            place.host.load_as(&config.guest, &wasm, loading)?
        }
    };
    if guest.kind() == GuestKind::Program {
        return Err(StartError::Program { deployment: name.to_owned(), guest: config.guest.clone() });
    }
    Ok(if config.instances == InstancesChoice::Reuse { guest.reusing() } else { guest })
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
