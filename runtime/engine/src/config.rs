//! The configuration, `wisp.toml`: what runs where, under which limits.

mod access;
mod base;
mod batching;
mod bounds;
mod deployment;
mod file;
mod limits;
mod loading;
mod print;
mod sessions;
mod suggest;
mod telemetry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use wisp_core::{BackendId, Device, Placement, Precision, StaticShape};
use wisp_model_store::PinnedArtifact;

pub use access::{AuthConfig, ClientCertificates, DrainConfig, Scope, TenantConfig, TlsConfig};
use base::Base;
pub use batching::BatchingConfig;
pub use deployment::{
    DeploymentConfig, DirConfig, EnvConfig, GrantsConfig, InstancesChoice, ModelGrantConfig, TrustConfig,
};
pub use limits::{GuestLimits, RequestLimits};
pub use loading::LoadChoice;
pub use sessions::SessionsChoice;
pub use telemetry::TelemetryConfig;

/// A checked configuration. Every deployment names models that exist here.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Listeners and limits of the service.
    pub server: ServerConfig,
    /// Models by name.
    pub models: BTreeMap<String, ModelConfig>,
    /// Deployments by name.
    pub deployments: BTreeMap<String, DeploymentConfig>,
    /// Bounds of devices; a device without any is not here.
    pub devices: BTreeMap<Device, DeviceConfig>,
    /// Tenants by name; whoever shows no token belongs to the one named [`ANONYMOUS`](crate::ANONYMOUS).
    pub tenants: BTreeMap<String, TenantConfig>,
    /// Traces.
    pub telemetry: TelemetryConfig,
}

/// `[devices.NAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Bytes that all models on this device may take together.
    pub memory_bytes: u64,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// Where gRPC listens; loopback unless configured otherwise.
    pub grpc: SocketAddr,
    /// Where the APIs over HTTP and the applications are served; `None` for nowhere. It can be where gRPC listens.
    pub http: Option<SocketAddr>,
    /// Where metrics and health checks over HTTP listen; `None` for nowhere.
    pub admin: Option<SocketAddr>,
    /// What encrypts the listeners; `None` for nothing.
    pub tls: Option<TlsConfig>,
    /// Who is served.
    pub auth: AuthConfig,
    /// How the service stops.
    pub drain: DrainConfig,
    /// Origins whose pages may use the APIs from a browser; `*` for all of them.
    pub cors_origins: Vec<String>,
    /// Whether clients may send tensors to a model by its name, without a guest. Off, only deployments answer.
    pub bare_models: bool,
    /// Bounds of requests.
    pub limits: RequestLimits,
}

/// `[models.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Name of a built-in model, a folder with a `model.toml`, or a pulled artifact: `oci:REF@sha256:DIGEST`.
    pub source: String,
    /// Backends and devices to try, in order. What is not listed is never used.
    pub placement: Vec<Placement>,
    /// The arithmetic.
    pub precision: PrecisionChoice,
    /// Shapes to compile for, on devices that take no free axes; empty for free axes.
    pub static_shapes: Vec<StaticShape>,
    /// Bytes of device memory that the model may take; `None` for as much as it needs.
    pub memory_bytes: Option<u64>,
    /// Sessions that work side by side, each with its part of the threads; they take memory each.
    pub sessions: SessionsChoice,
    /// When it is in memory.
    pub load: LoadChoice,
    /// Milliseconds without an inference after which a model on demand leaves the memory; `None` for not before others need it.
    pub unload_after_ms: Option<u64>,
    /// How requests share inferences.
    pub batching: BatchingConfig,
}

/// The arithmetic of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// The fastest that is proven on the golden vectors; f32 is proven by definition.
    #[default]
    Auto,
    /// Exactly this one, or an error.
    Exactly(Precision),
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is malformed, or a value is not possible. The message starts with file, line and column.
    #[error("{0}")]
    Invalid(String),
    /// A pod whose configuration says nothing of what to do: it grants no model, and has no deployment.
    #[error(
        "no model is granted to this pod; mount a wisp.toml with [models.NAME] at /etc/wisp/wisp.toml, or set the pod's \
         annotation `wisp.dev/models.NAME.source` to the folder of a mounted model, such as /models/NAME"
    )]
    NoModels,
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, column, and what was expected, for every mistake.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let text = utf8(&bytes, path)?;
        file::parse(text, path, &Base::of_machine(&check_guest_file)).map_err(ConfigError::Invalid)
    }

    /// Checks the text of a configuration; `origin` is the file it came from. Looks at no other file.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigError> {
        file::parse(text, origin, &Base::of_machine(&|_| Ok(()))).map_err(ConfigError::Invalid)
    }

    /// Checks the configuration of a pod, which may be empty but for its models. `origin` is the file that it would be:
    /// paths in it are relative to that one's folder. Guests may be [`IMAGE_GUEST`](crate::IMAGE_GUEST), listeners are open
    /// to the pod's network, and nothing but what the text grants exists.
    ///
    /// # Errors
    /// As [`Config::read`]; [`ConfigError::NoModels`] when it grants no model and has no deployment.
    pub fn parse_pod(text: &[u8], origin: &Path) -> Result<Self, ConfigError> {
        let text = utf8(text, origin)?;
        let config = file::parse(text, origin, &Base::of_pod(&check_guest_file)).map_err(ConfigError::Invalid)?;
        if config.deployments.is_empty() { Err(ConfigError::NoModels) } else { Ok(config) }
    }

    /// The configuration as text that [`Config::parse`] reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        print::print(self)
    }
}

fn utf8<'t>(text: &'t [u8], origin: &Path) -> Result<&'t str, ConfigError> {
    std::str::from_utf8(text).map_err(|error| {
        let (line, column) = file::position(text, error.valid_up_to());
        let message = "this is not UTF-8; convert the file, for example with iconv";
        ConfigError::Invalid(format!("{}:{line}:{column}: {message}", origin.display()))
    })
}

impl Config {
    /// The artifacts of registries that guests and models come from; each once.
    #[must_use]
    pub fn artifacts(&self) -> Vec<PinnedArtifact> {
        let guests = self.deployments.values().map(|deployment| &deployment.guest);
        let sources = guests.chain(self.models.values().map(|model| &model.source));
        let mut artifacts: Vec<PinnedArtifact> = Vec::new();
        for artifact in sources.filter_map(|source| PinnedArtifact::parse(source)?.ok()) {
            if !artifacts.contains(&artifact) {
                artifacts.push(artifact);
            }
        }
        artifacts
    }
}

/// Whether a guest could be read from there.
pub(crate) fn check_guest_file(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("this is no regular file; give a .wasm file".to_owned());
    }
    Ok(())
}

impl Default for Config {
    /// The built-in embedder on all-MiniLM-L6-v2.
    fn default() -> Self {
        let model = ModelConfig { source: DEFAULT_MODEL.to_owned(), ..ModelConfig::default() };
        let embedder = DeploymentConfig {
            guest: format!("{}embedder", crate::BUILTIN_PREFIX),
            models: BTreeMap::from([("encoder".to_owned(), DEFAULT_MODEL.into())]),
            ..DeploymentConfig::default()
        };
        Self {
            server: ServerConfig::default(),
            models: BTreeMap::from([(DEFAULT_MODEL.to_owned(), model)]),
            deployments: BTreeMap::from([("embedder".to_owned(), embedder)]),
            devices: BTreeMap::new(),
            tenants: BTreeMap::new(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

/// The model that runs without any configuration.
const DEFAULT_MODEL: &str = "all-minilm-l6-v2";

impl Default for ServerConfig {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            grpc: loopback(50051),
            http: Some(loopback(8080)),
            admin: Some(loopback(9090)),
            tls: None,
            auth: AuthConfig::default(),
            drain: DrainConfig::default(),
            cors_origins: Vec::new(),
            bare_models: true,
            limits: RequestLimits::default(),
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        let on_cpu = |backend| Placement { backend, device: Device::Cpu };
        Self {
            source: String::new(),
            placement: BackendId::ALL.map(on_cpu).to_vec(),
            precision: PrecisionChoice::Auto,
            static_shapes: Vec::new(),
            memory_bytes: None,
            sessions: SessionsChoice::default(),
            load: LoadChoice::default(),
            unload_after_ms: None,
            batching: BatchingConfig::default(),
        }
    }
}

impl PrecisionChoice {
    /// The name used in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exactly(precision) => precision.name(),
        }
    }
}

impl std::str::FromStr for PrecisionChoice {
    type Err = wisp_core::PrecisionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "auto" { Ok(Self::Auto) } else { name.parse().map(Self::Exactly) }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod documented;
