//! `wisp pod`: the engine as the only process of a container, started by the shim.
//!
//! Module and configuration come as sealed memory under numbers that the shim chose, libraries lie beside the program, and
//! what was computed for the node before lies in a read-only folder. Nothing comes from the environment: it was written by
//! whoever wrote the image.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use clap::Args;
use wisp_engine::{CodeFile, Config, ConfigError, Engine, HostConfig, InheritError, PodImage, StartError};
use wisp_model_store::{Access, Home, Store};

use crate::GlobalOptions;
use crate::progress::Logged;
use crate::serve::{self, Interrupted, Listening};

/// Where a person would mount the configuration; paths in it are relative to this folder, wherever the text came from.
const CONFIG_PATH: &str = "/etc/wisp/wisp.toml";

/// The longest configuration that is read.
const CONFIG_LIMIT_BYTES: u64 = 1 << 20;

/// Kubernetes mounts this file into containers, and shows its text as the reason why one ended.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Serve the module of an image in a pod. The shim starts this.
#[derive(Args)]
pub(crate) struct Pod {
    /// Descriptor of the sealed memory with the module.
    #[arg(long, value_name = "NUMBER")]
    module_fd: RawFd,
    /// Descriptor of the sealed memory with the configuration.
    #[arg(long, value_name = "NUMBER")]
    config_fd: RawFd,
    /// Machine code that `wisp compile` made of this module, in the node's cache.
    #[arg(long, value_name = "FILE", requires = "node_cache")]
    code: Option<PathBuf>,
    /// The node's cache, mounted read-only.
    #[arg(long, value_name = "FOLDER")]
    node_cache: Option<PathBuf>,
    /// Arguments of the container; guests that serve take none.
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// What a pod was given, read before anything else runs.
pub(crate) struct Given {
    module: Vec<u8>,
    config: Vec<u8>,
}

/// Why a pod ends with a code of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PodError {
    /// The module cannot be taken.
    #[error("module: {0}")]
    Module(InheritError),
    /// The configuration cannot be taken.
    #[error("configuration: {0}")]
    Inherited(InheritError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something else came before this could.
    #[error(transparent)]
    TooLate(InheritError),
}

/// Whether the command line asks for a pod: known before it is read, because reading it looks at the environment.
pub(crate) fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == "pod")
}

/// Forgets the environment.
///
/// # Errors
/// [`PodError::TooLate`] when threads run already.
pub(crate) fn enter() -> Result<(), PodError> {
    wisp_engine::forget_environment().map_err(PodError::TooLate)
}

impl Pod {
    /// Takes what the shim passed. Before the log is set up and any thread runs.
    pub(crate) fn take(&self) -> Result<Given, PodError> {
        let module_limit_bytes = HostConfig::default().max_module_bytes as u64;
        let module = wisp_engine::take_sealed(self.module_fd, module_limit_bytes).map_err(PodError::Module)?;
        let config = wisp_engine::take_sealed(self.config_fd, CONFIG_LIMIT_BYTES).map_err(PodError::Inherited)?;
        Ok(Given { module, config })
    }

    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let given = self.take()?;
        crate::logging::init_pod(options);
        let config = Config::parse_pod(&given.config, Path::new(CONFIG_PATH)).map_err(PodError::Config)?;
        if !self.arguments.is_empty() {
            tracing::debug!(arguments = ?self.arguments, "the module serves requests and takes no arguments");
        }
        let store = self.store();
        let image = PodImage { wasm: given.module, code: self.trusted_code() };
        let server = Listening::of(&config);
        let start = move || Ok(Engine::start_pod(config, &image, &store, &Logged)?);
        let announce = |engine: &Engine, server: &wisp_server::Server| {
            serve::log(engine, server);
            Ok(())
        };
        // Its configuration is sealed: another one is another pod.
        match serve::until_stopped(&server, start, None, announce) {
            Err(error) if error.is::<Interrupted>() => {
                tracing::info!("{error}");
                Ok(())
            }
            ended => ended,
        }
    }

    /// What others put there, and nothing else: a pod writes no file.
    fn store(&self) -> Store {
        // Compiled models are native code to the library that loads them: they count only where the node put them.
        let trusted = self.node_cache.as_ref().filter(|cache| match wisp_engine::check_node_cache(cache) {
            Ok(()) => true,
            Err(reason) => {
                tracing::warn!(reason, "the node's cache is not trusted; models are proven and compiled here");
                false
            }
        });
        Store::new(Home::at(trusted.map_or(Path::new(crate::NO_HOME), PathBuf::as_path)), Access::Sealed)
    }

    /// The code, if it can only come from the node.
    fn trusted_code(&self) -> Option<CodeFile> {
        let (code, cache) = (self.code.as_ref()?, self.node_cache.as_ref()?);
        match CodeFile::in_node_cache(code, cache) {
            Ok(file) => Some(file),
            Err(reason) => {
                tracing::warn!(reason, "compiled code is not trusted; the module is compiled here");
                None
            }
        }
    }
}

/// Tells the log, and the kubelet, why the pod ends; returns the exit code of the table in docs/pod.md.
pub(crate) fn end(error: &anyhow::Error) -> u8 {
    let reason = crate::output::explain(error);
    if tracing::event_enabled!(tracing::Level::ERROR) {
        tracing::error!("{reason}");
    } else {
        eprintln!("wisp: {reason}");
    }
    // Only where the kubelet mounted it: an image that has such a file gains nothing by it, and a pod makes none.
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(TERMINATION_LOG) {
        use std::io::Write;
        // Nobody is left to be told that this failed.
        let _ = writeln!(file, "{reason}");
    }
    exit_code(error)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<PodError>() {
        Some(PodError::Config(_) | PodError::Inherited(_)) => return 2,
        Some(PodError::Module(_)) => return 6,
        Some(PodError::TooLate(_)) => return 1,
        None => {}
    }
    match error.downcast_ref::<StartError>() {
        Some(StartError::Token { .. } | StartError::Grant { .. } | StartError::Route(_)) => 2,
        Some(StartError::Store { .. }) => 3,
        Some(StartError::NoPlacement { .. }) => 4,
        Some(StartError::Room { .. }) => 5,
        Some(
            StartError::GuestFile { .. }
            | StartError::GuestArtifact { .. }
            | StartError::NotBuiltIn { .. }
            | StartError::Trust { .. }
            | StartError::Program { .. }
            | StartError::Host(_),
        ) => 6,
        Some(StartError::Thread { .. }) | None => 1,
    }
}
