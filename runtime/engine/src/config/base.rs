//! What holds where a configuration says nothing: on a machine of one's own, and in a pod.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::{Config, DeploymentConfig, ModelConfig, ServerConfig};
use crate::IMAGE_GUEST;

/// The deployment of a pod whose configuration has none.
const POD_DEPLOYMENT: &str = "default";

/// The alias that guests of the SDK use when they name none.
const DEFAULT_ALIAS: &str = "encoder";

type Models = BTreeMap<String, ModelConfig>;
type Deployments = BTreeMap<String, DeploymentConfig>;

/// The defaults of a place.
pub(super) struct Base<'a> {
    /// Listeners and limits.
    pub(super) server: ServerConfig,
    /// The models where none is configured.
    pub(super) models: Models,
    /// The deployments where none is configured, by the models that there are.
    pub(super) deployments: fn(&Models) -> Deployments,
    /// Whether a guest may be the module of the image.
    pub(super) has_image: bool,
    /// What is wrong with the file of a guest, if anything is.
    pub(super) check_guest: &'a dyn Fn(&Path) -> Result<(), String>,
}

impl<'a> Base<'a> {
    /// A machine of one's own: loopback, and the built-in embedder.
    pub(super) fn of_machine(check_guest: &'a dyn Fn(&Path) -> Result<(), String>) -> Self {
        let Config { server, models, .. } = Config::default();
        Self { server, models, deployments: builtin_deployments, has_image: false, check_guest }
    }

    /// A pod: everybody in its network, the module of its image, and nothing that was not granted.
    pub(super) fn of_pod(check_guest: &'a dyn Fn(&Path) -> Result<(), String>) -> Self {
        let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let defaults = ServerConfig::default();
        let server = ServerConfig {
            grpc: anywhere(defaults.grpc.port()),
            http: defaults.http.map(|address| anywhere(address.port())),
            admin: defaults.admin.map(|address| anywhere(address.port())),
            // The models of a pod are granted to its guest; whoever reaches the pod was granted nothing.
            bare_models: false,
            ..defaults
        };
        Self { server, models: Models::new(), deployments: image_deployment, has_image: true, check_guest }
    }
}

/// A file that only moves the listener keeps the built-in deployment, as long as its model is still there.
fn builtin_deployments(models: &Models) -> Deployments {
    let mut deployments = Config::default().deployments;
    deployments.retain(|_, deployment| deployment.models.values().all(|grant| models.contains_key(&grant.model)));
    deployments
}

/// One deployment of the image's module, granted every model: a single one under the alias that guests expect, several under
/// their names.
fn image_deployment(models: &Models) -> Deployments {
    let alias = |name: &String| if models.len() == 1 { DEFAULT_ALIAS.to_owned() } else { name.clone() };
    let granted: BTreeMap<_, _> = models.keys().map(|name| (alias(name), name.as_str().into())).collect();
    if granted.is_empty() {
        return Deployments::new();
    }
    let deployment = DeploymentConfig { guest: IMAGE_GUEST.to_owned(), models: granted, ..DeploymentConfig::default() };
    Deployments::from([(POD_DEPLOYMENT.to_owned(), deployment)])
}
