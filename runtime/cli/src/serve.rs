//! `wisp serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use wisp_engine::{Config, Engine, GuestKind, ServerConfig, TelemetryConfig};
use wisp_server::{Reserved, Server, Telemetry};

use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;
use crate::reload::{Follow, Source};
use crate::signals::{StopSignal, StopSignals};
use crate::{GlobalOptions, logging, output};

/// Serve deployments over gRPC until SIGTERM or SIGINT, then finish what was begun.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigOptions,
    /// Listen here for gRPC instead of server.grpc; port 0 takes a free one.
    #[arg(long, env = "WISP_GRPC", value_name = "IP:PORT")]
    grpc: Option<SocketAddr>,
    /// Listen here for the APIs over HTTP and applications instead of server.http, also where gRPC does; `off` for nowhere.
    #[arg(long, env = "WISP_HTTP", value_name = "IP:PORT|off")]
    http: Option<MaybeAddress>,
    /// Listen here for metrics and probes over HTTP instead of server.admin; `off` for nowhere.
    #[arg(long, env = "WISP_ADMIN", value_name = "IP:PORT|off")]
    admin: Option<MaybeAddress>,
    /// Reload when the configuration file changes; SIGHUP reloads in any case.
    #[arg(long, env = "WISP_WATCH", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, requires = "config")]
    watch: bool,
    /// Print the configuration with every default and these flags over it, and end.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// An address, or none.
#[derive(Clone, Copy)]
struct MaybeAddress(Option<SocketAddr>);

impl std::str::FromStr for MaybeAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

impl Serve {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let config = self.read()?;
        if self.print_config {
            return Ok(output::line(config.to_toml().trim_end())?);
        }
        let listening = Listening::of(&config);
        let store = options.store()?;
        let registries = self.config.registries.clone();
        let fetching = store.clone();
        let start = move || {
            registries.fetch_blocking(&config, &fetching)?;
            Ok(Engine::start(config, &fetching, &Console::new())?)
        };
        let source = Source {
            watched: self.config.config.clone().filter(|_| self.watch),
            read: Box::new(move || {
                let config = self.read()?;
                self.config.registries.fetch_blocking(&config, &store)?;
                Ok(config)
            }),
        };
        until_stopped(&listening, start, Some(source), |engine, server| {
            match logging::writes_json() {
                true => log(engine, server),
                false => report(engine),
            }
            announce(server)?;
            Ok(())
        })
    }

    /// The configuration with the flags over it.
    fn read(&self) -> anyhow::Result<Config> {
        let mut config = self.config.read()?;
        self.placement.apply(&mut config);
        config.server.grpc = self.grpc.unwrap_or(config.server.grpc);
        config.server.http = self.http.map_or(config.server.http, |http| http.0);
        config.server.admin = self.admin.map_or(config.server.admin, |admin| admin.0);
        let telemetry = config.telemetry.with_environment(|name| std::env::var(name).ok());
        config.telemetry = telemetry.map_err(anyhow::Error::msg)?;
        Ok(config)
    }
}

/// What is needed before there is an engine.
pub(crate) struct Listening {
    server: ServerConfig,
    telemetry: TelemetryConfig,
}

impl Listening {
    /// As the configuration has it.
    pub(crate) fn of(config: &Config) -> Self {
        Self { server: config.server.clone(), telemetry: config.telemetry.clone() }
    }
}

/// Starts an engine, serves until SIGTERM or SIGINT, and drains. `announce` says that the service answers from here on; with a
/// `source`, SIGHUP reloads.
pub(crate) fn until_stopped(
    config: &Listening,
    start: impl FnOnce() -> anyhow::Result<Engine> + Send + 'static,
    source: Option<Source>,
    announce: impl FnOnce(&Engine, &Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config, start, source, announce));
    // A start that was interrupted may be in the middle of a download, which cannot be called back.
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    served
}

/// Longest time that work on other threads is waited for before the process ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

/// A signal ended the start: nothing was served.
#[derive(Debug, thiserror::Error)]
#[error("stopped by {signal} before the start was done")]
pub(crate) struct Interrupted {
    signal: &'static str,
    /// What shells report for a process that this signal ended: 128 and its number.
    pub(crate) exit_code: u8,
}

impl From<StopSignal> for Interrupted {
    fn from(signal: StopSignal) -> Self {
        match signal {
            StopSignal::Terminate => Self { signal: "SIGTERM", exit_code: 143 },
            StopSignal::Interrupt => Self { signal: "SIGINT", exit_code: 130 },
        }
    }
}

async fn serve(
    config: &Listening,
    start: impl FnOnce() -> anyhow::Result<Engine> + Send + 'static,
    source: Option<Source>,
    announce: impl FnOnce(&Engine, &Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Installed before anything slow: a signal while models load must not kill the process half-way in a download.
    let mut stop = StopSignals::listen()?;
    let follow = source.as_ref().map(|source| Follow::new(source.watched.as_deref())).transpose()?;
    let telemetry = Telemetry::start(&config.telemetry)?;
    let mut reserved = Reserved::new(&config.server)?.with_telemetry(telemetry);
    reserved.answer_probes()?;
    let starting = tokio::task::spawn_blocking(start);
    let engine = tokio::select! {
        started = starting => started.context("start")??,
        signal = stop.recv() => return Err(Interrupted::from(signal).into()),
    };
    let reload = source.map(|source| source.reload(&engine));
    let server = Server::listen(engine.clone(), reserved)?.with_reload(reload.clone());
    announce(&engine, &server)?;
    if let (Some(follow), Some(reload)) = (follow, reload) {
        tokio::spawn(follow.run(reload));
    }
    let drained = server
        .run(async move {
            stop.recv().await;
        })
        .await?;
    anyhow::ensure!(
        drained.abandoned_requests == 0,
        "{} requests did not finish within {} ms (server.drain.timeout_ms)",
        drained.abandoned_requests,
        config.server.drain.timeout_ms
    );
    Ok(())
}

/// What runs where, for the person who started it.
fn report(engine: &Engine) {
    for model in engine.models() {
        let proof = model.proof.golden.map_or(String::new(), |golden| {
            format!(", {} golden answers at cosine {:.6}", golden.cases, golden.min_cosine)
        });
        let (name, library) = (&model.name, &model.library_version);
        eprintln!("model      {name} on {} ({library}), {}{proof}", model.placement, model.precision);
        eprintln!("           {}", model.reason);
        let batching = &model.proof.batching;
        eprintln!("           batches of rows {}; padding {}", batching.rows, batching.padding);
    }
    for deployment in engine.deployments() {
        let models: Vec<_> = deployment.models.iter().map(|(alias, model)| format!("{alias} = {model}")).collect();
        let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
        let kilobytes = deployment.wasm_bytes.div_ceil(1000);
        let kind = match deployment.kind {
            GuestKind::Http => "serves HTTP, ",
            GuestKind::Classifier => "classifies, ",
            GuestKind::Embedder | GuestKind::Program => "",
        };
        eprintln!("deployment {}: {} ({kilobytes} KB), {kind}{models}", deployment.name, deployment.guest);
    }
}

/// What runs where, for the log.
pub(crate) fn log(engine: &Engine, server: &Server) {
    for deployment in engine.deployments() {
        let models: Vec<_> = deployment.models.iter().map(|(alias, model)| format!("{alias} = {model}")).collect();
        tracing::info!(
            deployment = deployment.name,
            guest = deployment.guest,
            module_bytes = deployment.wasm_bytes,
            models = models.join(", "),
            "deployment loaded"
        );
    }
    let admin = server.admin_address().map_or("off".to_owned(), |address| address.to_string());
    let http = server.http_address().map_or("off".to_owned(), |address| address.to_string());
    tracing::info!(grpc = %server.grpc_address(), http, admin, "listening");
}

/// One line that programs wait for: the service answers from here on.
fn announce(server: &Server) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    let other =
        |name: &str, address: Option<SocketAddr>| address.map_or(String::new(), |address| format!(" {name}={address}"));
    let (http, admin) = (other("http", server.http_address()), other("admin", server.admin_address()));
    writeln!(output, "listening grpc={}{admin}{http}", server.grpc_address())?;
    output.flush()
}
