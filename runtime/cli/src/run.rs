//! `wisp run`: any module, with what the command line grants it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use wisp_core::Placement;
use wisp_engine::{
    ClassifyRequest, Config, DeploymentConfig, DirConfig, EmbedRequest, Engine, EnvConfig, GrantsConfig, GuestKind,
    GuestLimits, HttpGrant, ModelConfig, Program, ProgramConfig, ServerConfig, Streams, TensorTypes, TrustConfig,
    WrittenIn,
};
use wisp_model_store::Store;

use crate::classify::Input;
use crate::placement::PlacementOptions;
use crate::progress::Console;
use crate::{GlobalOptions, SUCCESS, output, serve};

/// Memory of a program where nothing else is said: its user is the one who started it.
const MEMORY_BYTES: usize = 1 << 30;

/// Longest run where nothing else is said: a day.
const WALL_MS: u64 = 24 * 3_600_000;

/// Longest pause of an HTTP application, and of an embedder.
const REQUEST_WALL_MS: u64 = 60_000;

/// Run a module: a program to its end, an HTTP application until it is stopped, an embedder once.
///
/// A program is a component that exports wasi:cli/run, or a core module of WASI preview 1; both may use wasi:nn. What is not
/// granted by a flag does not exist for it.
#[derive(Args)]
pub(crate) struct Run {
    /// Grant a model under an alias: a name, a folder with a model.toml, or oci:REF@sha256:DIGEST. Without ALIAS=, the alias is
    /// the name.
    #[arg(long, value_name = "[ALIAS=]MODEL", value_parser = model)]
    model: Vec<(String, String)>,
    /// Let the module bring models of its own (wasi:nn load), and run them there; may be given more than once, in order.
    #[arg(long, value_name = "BACKEND:DEVICE")]
    load: Vec<Placement>,
    /// Grant a folder, to read and to write; the guest calls it GUEST.
    #[arg(long, value_name = "HOST[::GUEST]")]
    dir: Vec<String>,
    /// Folders are granted to be read only.
    #[arg(long)]
    read_only: bool,
    /// Set an environment variable; without a value, to the one that it has here.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Let the module send HTTP requests to a host.
    #[arg(long, value_name = "HOST[:PORT]")]
    http: Vec<HttpGrant>,
    /// Run only if one of these keys signed the module; the signature lies beside it, with .sig at the end of its name.
    #[arg(long, value_name = "KEY.pem")]
    signed_by: Vec<PathBuf>,
    /// Linear memory of the module.
    #[arg(long, value_name = "BYTES", default_value_t = MEMORY_BYTES)]
    memory_bytes: usize,
    /// Time until a program must have ended, or a request must be answered: by default a day, and a minute.
    #[arg(long, value_name = "MILLISECONDS")]
    wall_ms: Option<u64>,
    /// Units of computation, about one an instruction; by default they are not counted.
    #[arg(long, value_name = "UNITS")]
    fuel: Option<u64>,
    /// Where an HTTP application listens; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The module numbers element types as guests made for WasmEdge before 2025-03-31 do.
    #[arg(long)]
    old_tensor_types: bool,
    #[command(flatten)]
    placement: PlacementOptions,
    /// The module.
    #[arg(value_name = "MODULE.wasm")]
    module: PathBuf,
    /// Its arguments; for an embedder, the texts.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn model(text: &str) -> Result<(String, String), String> {
    let (alias, source) = text.split_once('=').unwrap_or_else(|| {
        let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
        (name, text)
    });
    if alias.is_empty() || source.is_empty() {
        return Err("write ALIAS=MODEL, such as encoder=all-minilm-l6-v2".to_owned());
    }
    Ok((alias.to_owned(), source.to_owned()))
}

impl Run {
    /// Returns the exit code.
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<u8> {
        let name = self.module.display().to_string();
        let metadata = std::fs::metadata(&self.module).with_context(|| name.clone())?;
        ensure!(metadata.is_file(), "{name}: this is no regular file; give a .wasm file");
        let wasm = std::fs::read(&self.module).with_context(|| name.clone())?;
        let store = options.store()?;
        match wisp_engine::guest_kind(&name, &wasm)? {
            GuestKind::Program => self.program(name, &wasm, &store),
            GuestKind::Http => self.application(name, store).map(|()| SUCCESS),
            GuestKind::Embedder => self.embed(name, &store).map(|()| SUCCESS),
            GuestKind::Classifier => self.classify(name, &store).map(|()| SUCCESS),
        }
    }

    fn program(self, name: String, wasm: &[u8], store: &Store) -> anyhow::Result<u8> {
        let config = ProgramConfig {
            trust: self.trust(),
            models: self.models(),
            grants: self.grants(),
            may_write: !self.read_only,
            limits: self.limits(WALL_MS),
            name: self.name(),
            file: Some(self.module.clone()),
        };
        let program = Program::load(&config, wasm, store, &Console::new())?;
        let args = std::iter::once(name).chain(self.arguments).collect();
        let tensor_types = if self.old_tensor_types { TensorTypes::OldWasmEdge } else { TensorTypes::Witx };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(program.run(Streams::Inherited { args }, tensor_types));
        // A thread may still be reading standard input, which nothing ends.
        runtime.shutdown_background();
        // What shells can tell of a program: the low eight bits.
        Ok((ended?.code & 0xff) as u8)
    }

    fn application(self, name: String, store: Store) -> anyhow::Result<()> {
        ensure!(self.arguments.is_empty(), "{name} serves HTTP and takes no arguments");
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = ServerConfig { grpc: free, http: Some(self.listen), admin: None, ..ServerConfig::default() };
        let config = Config { server, ..self.deployed(name, REQUEST_WALL_MS) };
        let server = serve::Listening::of(&config);
        let start = move || Ok(Engine::start(config, &store, &Console::new())?);
        serve::until_stopped(&server, start, None, |_, server| {
            let address = server.http_address().context("the application is not served")?;
            output::line(format!("listening http=http://{address}"))?;
            Ok(())
        })
    }

    fn embed(self, name: String, store: &Store) -> anyhow::Result<()> {
        if self.arguments.is_empty() {
            bail!("{name} embeds texts; give them as arguments");
        }
        let texts = self.arguments.clone();
        let engine = Engine::start(self.deployed(name, REQUEST_WALL_MS), store, &Console::new())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let answer = runtime.block_on(engine.embed(EmbedRequest::texts(texts)))?;
        for vector in answer.vectors() {
            output::line(serde_json::to_string(vector)?)?;
        }
        Ok(())
    }

    /// Texts, and image files behind an `@`: labels and scores, a line an argument.
    fn classify(self, name: String, store: &Store) -> anyhow::Result<()> {
        if self.arguments.is_empty() {
            bail!("{name} classifies; give texts as arguments, or images as @FILE");
        }
        let engine = Engine::start(self.deployed(name, REQUEST_WALL_MS), store, &Console::new())?;
        let input = |argument: &String| match argument.strip_prefix('@') {
            Some(file) => Input::Image(file.into()).read(engine.limits().image_bytes),
            None => Input::Text(argument.clone()).read(0),
        };
        let inputs = self.arguments.iter().map(input).collect::<anyhow::Result<Vec<_>>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let answer = runtime.block_on(engine.classify(ClassifyRequest::inputs(inputs)))?;
        for scores in answer.classifications {
            let labels: Vec<_> = scores.labels.iter().map(|one| (&one.label, one.score)).collect();
            output::line(serde_json::to_string(&labels)?)?;
        }
        Ok(())
    }

    /// What the module is called in messages.
    fn name(&self) -> String {
        self.module.file_stem().unwrap_or(self.module.as_os_str()).to_string_lossy().into_owned()
    }

    /// The module as the only deployment.
    fn deployed(&self, guest: String, wall_ms: u64) -> Config {
        let models = self.models();
        let deployment = DeploymentConfig {
            guest: guest.clone(),
            trust: self.trust(),
            models: models.keys().map(|alias| (alias.clone(), alias.as_str().into())).collect(),
            limits: self.limits(wall_ms),
            grants: self.grants(),
            ..DeploymentConfig::default()
        };
        Config { models, deployments: BTreeMap::from([(self.name(), deployment)]), ..Config::default() }
    }

    fn models(&self) -> BTreeMap<String, ModelConfig> {
        let configured = |source: &String| {
            let defaults = ModelConfig::default();
            ModelConfig {
                source: source.clone(),
                placement: self.placement.placements(&defaults.placement),
                precision: self.placement.precision.unwrap_or(defaults.precision),
                ..defaults
            }
        };
        self.model.iter().map(|(alias, source)| (alias.clone(), configured(source))).collect()
    }

    fn grants(&self) -> GrantsConfig {
        GrantsConfig {
            dirs: self.dir.iter().map(|dir| DirConfig::parse(dir)).collect(),
            env: self.env.iter().map(|env| EnvConfig::parse(env)).collect(),
            http: self.http.clone(),
            load: self.load.clone(),
            written_in: WrittenIn::CommandLine,
        }
    }

    fn trust(&self) -> TrustConfig {
        TrustConfig { signed_by: self.signed_by.clone(), ..TrustConfig::default() }
    }

    fn limits(&self, wall_ms: u64) -> GuestLimits {
        let defaults = GuestLimits::default();
        GuestLimits {
            memory_bytes: self.memory_bytes,
            wall_ms: self.wall_ms.unwrap_or(wall_ms),
            fuel: self.fuel,
            // Programs bring whole models.
            hostcall_bytes: defaults.hostcall_bytes.max(MEMORY_BYTES),
            ..defaults
        }
    }
}
