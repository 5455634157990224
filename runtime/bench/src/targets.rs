//! What a plan measures, started: a server of ours, engines in this process, addresses of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wisp_engine::{BUILTIN_PREFIX, Config, DeploymentConfig, Engine, GuestLimits};
use wisp_model_store::{Progress, Store};

use crate::BenchError;
use crate::plan::{DeploymentChoice, Plan, TargetChoice, Work};
use crate::server::{ServerChild, ServerOptions};
use crate::target::{BackendTarget, EngineTarget, GrpcOptions, GrpcTarget, Target};

/// Where guests lie that are built from source.
const GUESTS_FOLDER: &str = "target/guests";

/// Most connections that are opened without being asked for, and clients that share one.
const AUTO_CONNECTIONS: usize = 8;
const CONNECTION_CLIENTS: usize = 16;

/// Everything that a plan measures.
pub struct Targets {
    /// The server that was started for it.
    pub server: Option<ServerChild>,
    /// The engine in this process.
    pub engine: Option<Engine>,
    timeout: Duration,
}

/// A stream's way to its target.
pub struct Way<'a> {
    /// The target.
    pub choice: &'a TargetChoice,
    /// The deployment.
    pub deployment: &'a str,
    /// Connections.
    pub connections: usize,
    /// The bearer token.
    pub token: Option<String>,
}

impl Targets {
    /// Starts what the plan measures.
    ///
    /// # Errors
    /// [`BenchError::Server`], [`BenchError::Start`].
    pub fn start(
        plan: &Plan,
        config: &Config,
        program: &Path,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Self, BenchError> {
        let mut targets = Self { server: None, engine: None, timeout: plan.timeout };
        let has_work = !matches!(plan.work, Work::None);
        if !plan.shapes.is_empty() || has_work && plan.targets.iter().any(TargetChoice::is_in_process) {
            targets.engine = Some(Engine::start(config.clone(), store, progress)?);
        }
        if has_work && plan.targets.contains(&TargetChoice::Server) {
            progress.step("starting `wisp serve`", None);
            let is_offline = store.access() != wisp_model_store::Access::Online;
            let server = ServerChild::start(&ServerOptions { program, config, is_offline, home: None })?;
            progress.done(&format!("`wisp serve` serves after {} ms", server.start_time().as_millis()));
            targets.server = Some(server);
        }
        Ok(targets)
    }

    /// Connects a stream to its target.
    ///
    /// # Errors
    /// [`BenchError::Connect`], [`BenchError::NoBackend`].
    pub async fn reach(&self, way: Way<'_>) -> Result<Target, BenchError> {
        let options = |way: Way<'_>| GrpcOptions {
            deployment: Some(way.deployment.to_owned()).filter(|name| !name.is_empty()),
            connections: way.connections,
            timeout: self.timeout,
            token: way.token,
        };
        match (way.choice, &self.server, &self.engine) {
            (TargetChoice::Address(uri), _, _) => Ok(Target::Grpc(GrpcTarget::connect(uri, options(way)).await?)),
            (TargetChoice::Server, Some(server), _) => {
                Ok(Target::Grpc(GrpcTarget::connect(&server.uri(), options(way)).await?))
            }
            (TargetChoice::Engine, _, Some(engine)) => Ok(Target::Engine(EngineTarget {
                engine: engine.clone(),
                deployment: Some(way.deployment.to_owned()),
                timeout: self.timeout,
            })),
            (TargetChoice::Backend, _, Some(engine)) => {
                Ok(Target::Backend(BackendTarget::new(engine, way.deployment, self.timeout)?))
            }
            (choice, _, _) => {
                Err(BenchError::Server { what: format!("was not started for {choice}"), log: String::new() })
            }
        }
    }
}

/// Connections of a stream with so many clients, unless somebody says otherwise.
#[must_use]
pub fn connections(plan: &Plan, clients: usize) -> usize {
    plan.connections.unwrap_or_else(|| clients.div_ceil(CONNECTION_CLIENTS).clamp(1, AUTO_CONNECTIONS))
}

/// The configuration with the deployments of the plan alone, and their names in order.
///
/// A deployment that is not configured is taken from its file, from the guests that are built in, or from where guests are built.
///
/// # Errors
/// [`BenchError::NoDeployment`].
pub fn configure(plan: &Plan, config: &Config) -> Result<(Config, Vec<String>), BenchError> {
    let config = &rooted(config)?;
    if plan.deployments.is_empty() {
        return Ok((config.clone(), config.deployments.keys().cloned().collect()));
    }
    let mut chosen = BTreeMap::new();
    for choice in &plan.deployments {
        chosen.insert(choice.name.clone(), deployment(choice, config)?);
    }
    let names = plan.deployments.iter().map(|choice| choice.name.clone()).collect();
    Ok((Config { deployments: chosen, ..config.clone() }, names))
}

fn deployment(choice: &DeploymentChoice, config: &Config) -> Result<DeploymentConfig, BenchError> {
    let configured = config.deployments.get(&choice.name);
    // A guest is granted what the deployments of the configuration are granted: there is no other hint.
    let pattern = configured.or_else(|| config.deployments.values().next());
    let with_guest = |guest: String| DeploymentConfig {
        guest,
        models: pattern.map(|pattern| pattern.models.clone()).unwrap_or_default(),
        limits: pattern.map_or_else(GuestLimits::default, |pattern| pattern.limits.clone()),
        ..DeploymentConfig::default()
    };
    if let Some(file) = &choice.guest {
        return Ok(with_guest(absolute(file)?.display().to_string()));
    }
    if let Some(configured) = configured {
        return Ok(configured.clone());
    }
    let folder = std::env::var_os("WISP_GUESTS_DIR").map_or_else(|| PathBuf::from(GUESTS_FOLDER), PathBuf::from);
    let file = folder.join(format!("{}.wasm", choice.name));
    if file.is_file() {
        return Ok(with_guest(absolute(&file)?.display().to_string()));
    }
    let builtin = format!("{BUILTIN_PREFIX}{}", choice.name);
    let text = format!("[deployments.x]\nguest = \"{builtin}\"\nmodels = {{}}\n");
    if Config::parse(&text, Path::new("wisp.toml")).is_ok() {
        return Ok(with_guest(builtin));
    }
    Err(BenchError::NoDeployment { name: choice.name.clone(), looked_at: file })
}

/// The same with absolute paths: the server has its configuration, and so its relative paths, elsewhere.
fn rooted(config: &Config) -> Result<Config, BenchError> {
    let mut config = config.clone();
    for deployment in config.deployments.values_mut().filter(|deployment| !deployment.guest.starts_with(BUILTIN_PREFIX))
    {
        deployment.guest = absolute(Path::new(&deployment.guest))?.display().to_string();
    }
    for model in config.models.values_mut().filter(|model| model.source.contains(std::path::MAIN_SEPARATOR)) {
        model.source = absolute(Path::new(&model.source))?.display().to_string();
    }
    Ok(config)
}

fn absolute(file: &Path) -> Result<PathBuf, BenchError> {
    std::path::absolute(file).map_err(BenchError::io(file.display().to_string()))
}

/// The bearer token of a file: its first line.
///
/// # Errors
/// [`BenchError::Io`].
pub fn token(file: Option<&Path>) -> Result<Option<String>, BenchError> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(BenchError::io(file.display().to_string()))?;
    Ok(text.lines().next().map(|line| line.trim().to_owned()).filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(deployments: &[&str]) -> Plan {
        Plan {
            targets: vec![TargetChoice::Server],
            deployments: deployments.iter().map(|name| name.parse().expect("a deployment")).collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn without_a_choice_everything_configured_is_measured() {
        let (config, names) = configure(&plan(&[]), &Config::default()).expect("is configured");
        assert_eq!((config, names), (Config::default(), vec!["embedder".to_owned()]));
    }

    #[test]
    fn a_guest_of_a_file_is_granted_what_the_others_are() {
        let (config, names) =
            configure(&plan(&["embedder", "mine=x.wasm"]), &Config::default()).expect("is configured");
        assert_eq!(names, ["embedder", "mine"]);
        assert_eq!(config.deployments["mine"].models, Config::default().deployments["embedder"].models);
        assert!(Path::new(&config.deployments["mine"].guest).is_absolute());
    }

    #[test]
    fn a_guest_that_is_nowhere_is_named_with_the_remedy() {
        let error = configure(&plan(&["nowhere"]), &Config::default()).expect_err("is not there").to_string();
        assert!(error.contains("--deployments nowhere=FILE.wasm"), "{error}");
    }

    #[test]
    fn connections_grow_with_clients_up_to_a_bound() {
        let mut plan = plan(&[]);
        assert_eq!([1, 16, 17, 32, 10_000].map(|clients| connections(&plan, clients)), [1, 1, 2, 2, 8]);
        plan.connections = Some(3);
        assert_eq!(connections(&plan, 1), 3);
    }
}
