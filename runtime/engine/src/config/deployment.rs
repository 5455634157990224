//! A deployment as it is configured: its guest, whose guest that may be, and what the guest may use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wisp_core::Placement;
use wisp_host::{HttpGrant, WrittenIn};

use super::GuestLimits;

/// `[deployments.NAME]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentConfig {
    /// `builtin:NAME`, the path of a `.wasm` file, a pulled artifact (`oci:REF@sha256:DIGEST`), or in a pod `image`.
    pub guest: String,
    /// What the module must be for it to be compiled.
    pub trust: TrustConfig,
    /// Alias the guest uses → model. This is the grant.
    pub models: BTreeMap<String, ModelGrantConfig>,
    /// Bounds of each instance.
    pub limits: GuestLimits,
    /// What the guest may use besides models.
    pub grants: GrantsConfig,
    /// Whether instances serve one request or many.
    pub instances: InstancesChoice,
    /// For HTTP applications: requests whose path begins so. `None` takes all, where there is one application.
    pub route: Option<String>,
}

/// What a module must be for it to be compiled: `digest`, `signature` and `signed_by` of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustConfig {
    /// `sha256:` and the digest of the module.
    pub digest: Option<String>,
    /// File with a detached signature of the module; `None` looks beside the guest, at its name with `.sig`.
    pub signature: Option<PathBuf>,
    /// Public keys in PEM, one of which must have signed; empty asks for no signature.
    pub signed_by: Vec<PathBuf>,
}

/// A model that a guest may use, and how much of it. In a file, the model's name alone grants all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelGrantConfig {
    /// The model.
    pub model: String,
    /// Rows of one `compute`; `None` for as many as the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<usize>,
    /// Milliseconds that one `compute` may take, queue included; `None` for as long as the request has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// `[deployments.NAME.grants]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsConfig {
    /// Folders that the guest may read.
    pub dirs: Vec<DirConfig>,
    /// Environment variables of the guest.
    pub env: Vec<EnvConfig>,
    /// Hosts that it may send HTTP requests to.
    pub http: Vec<HttpGrant>,
    /// Placements that models from its own memory may run on; empty refuses them.
    pub load: Vec<Placement>,
    /// Where these grants are written down, for messages that say how to get another.
    pub written_in: WrittenIn,
}

/// A folder that a guest may read, `HOST` or `HOST::GUEST` in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirConfig {
    /// The folder here.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
}

/// An environment variable of a guest, `NAME` or `NAME=VALUE` in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvConfig {
    /// Its name.
    pub name: String,
    /// Its value; `None` takes the one that this process has.
    pub value: Option<String>,
}

/// Whether instances serve one request or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstancesChoice {
    /// One, then they are gone: nothing of a request is visible to the next.
    #[default]
    Fresh,
    /// One after the other, of the same deployment: what the guest remembers stays.
    Reuse,
}

impl From<&str> for ModelGrantConfig {
    /// All of this model.
    fn from(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }
}

impl DirConfig {
    /// Reads `HOST` or `HOST::GUEST`; `HOST` alone is called the same by the guest.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (host, guest) = text.split_once("::").unwrap_or((text, text));
        Self { host: host.into(), guest: guest.to_owned() }
    }
}

impl std::fmt::Display for DirConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.host.display(), self.guest)
    }
}

impl EnvConfig {
    /// Reads `NAME` or `NAME=VALUE`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: text.to_owned(), value: None },
        }
    }
}

impl std::fmt::Display for EnvConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
