//! How registries are reached, and how much is taken from them.

use std::path::PathBuf;
use std::time::Duration;

/// How registries are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether HTTP without TLS is spoken with registries elsewhere. On this machine it is tried where TLS is not answered.
    pub plain_http: bool,
    /// Longest silence of a registry.
    pub timeout: Duration,
    /// How often a request is made before it counts as failed.
    pub attempts: u32,
    /// What is waited before the second attempt; twice as long before each that follows, up to [`RegistryOptions::MAX_DELAY`].
    pub first_delay: Duration,
    /// Most bytes that are taken of one artifact; `None` for [`RegistryOptions::MODULE_LIMIT_BYTES`] or
    /// [`RegistryOptions::MODEL_LIMIT_BYTES`].
    pub limit_bytes: Option<u64>,
    /// The Docker configuration with credentials; `None` where the environment names none.
    pub docker_config: Option<PathBuf>,
}

impl RegistryOptions {
    /// Longest pause between attempts.
    pub const MAX_DELAY: Duration = Duration::from_secs(10);
    /// Most bytes of a module: as much as the engine compiles.
    pub const MODULE_LIMIT_BYTES: u64 = 64 << 20;
    /// Most bytes of a model, packed and unpacked.
    pub const MODEL_LIMIT_BYTES: u64 = 32 << 30;

    pub(crate) fn module_limit_bytes(&self) -> u64 {
        self.limit_bytes.unwrap_or(Self::MODULE_LIMIT_BYTES)
    }

    pub(crate) fn model_limit_bytes(&self) -> u64 {
        self.limit_bytes.unwrap_or(Self::MODEL_LIMIT_BYTES)
    }
}

impl Default for RegistryOptions {
    /// Certificates of the system, five attempts, 30 s, and credentials as the environment names them: the file
    /// `config.json` in `DOCKER_CONFIG`, else in `.docker` of the home folder.
    fn default() -> Self {
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = folder("DOCKER_CONFIG").or_else(|| folder("HOME").map(|home| home.join(".docker")));
        Self {
            ca_file: None,
            plain_http: false,
            timeout: Duration::from_secs(30),
            attempts: 5,
            first_delay: Duration::from_millis(500),
            limit_bytes: None,
            docker_config: docker.map(|folder| folder.join("config.json")),
        }
    }
}
