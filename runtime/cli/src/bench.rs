//! `wisp bench`: flags to a plan, a report to where it is wanted.

mod compare;
mod devices;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;
use wisp_bench::answer::Lane;
use wisp_bench::cold::start_parts;
use wisp_bench::load::{Arrivals, Load};
use wisp_bench::mix::Mix;
use wisp_bench::plan::{DeploymentChoice, Plan, TargetChoice, Work, parse_duration};
use wisp_bench::shapes::Shape;
use wisp_bench::slo::Slo;
use wisp_bench::stream_spec::{StreamSpec, parse_clients, parse_lane, parse_rate, parse_texts};
use wisp_bench::variant::VariantChoice;
use wisp_bench::{Setting, measure, pools};
use wisp_core::{BackendId, Device, Precision};
use wisp_engine::PrecisionChoice;

use self::write::BenchFormat;
use crate::GlobalOptions;
use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;

/// Clients of runs when nothing is said.
const DEFAULT_CLIENTS: [usize; 3] = [1, 8, 32];

/// Measure throughput, latency and starts, with every answer checked.
///
/// Without flags: starts a server of its own on a loopback port and embeds short, mixed and long texts with 1, 8 and 32 clients.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// What is measured: server (started for it), engine and backend (in this process), grpc://HOST:PORT.
    #[arg(long, env = "WISP_BENCH_TARGET", value_name = "TARGET", value_delimiter = ',', default_value = "server")]
    target: Vec<TargetChoice>,
    /// Deployments, one after the other: names of the configuration, or NAME=FILE.wasm. Default: all that are configured.
    #[arg(long, env = "WISP_BENCH_DEPLOYMENTS", value_name = "NAME", value_delimiter = ',')]
    deployments: Vec<DeploymentChoice>,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    sweep: SweepOptions,
    #[command(flatten)]
    texts: TextOptions,
    #[command(flatten)]
    method: MethodOptions,
    /// Form of the result on standard output.
    #[arg(long, env = "WISP_BENCH_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: BenchFormat,
    /// Write the report to this file as well, in the form that its ending names: .json, .html, .md, .csv, .txt.
    #[arg(long, env = "WISP_BENCH_OUTPUT", value_name = "FILE", value_parser = write::check_ending)]
    output: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// What is done with benchmarks beside measuring.
#[derive(Subcommand)]
enum BenchCommand {
    /// Compare two reports: what became slower or faster beyond noise. Fails on a regression.
    Compare(compare::Compare),
    /// Measure every backend, device and precision of this machine in a few shapes, and print a configuration.
    Devices(devices::BenchDevices),
    /// Measure the parts of a start in this process, for `--cold`.
    #[command(hide = true)]
    StartParts {
        #[command(flatten)]
        config: ConfigOptions,
        /// The deployment.
        #[arg(long, value_name = "NAME")]
        deployment: String,
    },
}

impl BenchCommand {
    fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        match self {
            Self::Compare(command) => command.run(),
            Self::Devices(command) => command.run(options),
            Self::StartParts { config, deployment } => {
                let parts = start_parts(&config.read()?, &options.store()?, &deployment)?;
                Ok(crate::output::line(serde_json::to_string(&parts)?)?)
            }
        }
    }
}

/// How much is asked at one time.
#[derive(Args)]
struct LoadOptions {
    /// Clients of a closed loop, one run each; 1,8,32 when nothing else is asked for.
    #[arg(long, env = "WISP_BENCH_CLIENTS", value_name = "N", value_delimiter = ',', value_parser = parse_clients)]
    clients: Vec<usize>,
    /// Requests a second of an open loop, one run each, in place of clients.
    #[arg(long, env = "WISP_BENCH_RATE", value_name = "N", value_delimiter = ',', value_parser = parse_rate)]
    rate: Vec<f64>,
    /// How requests of an open loop arrive: poisson, constant.
    #[arg(long, env = "WISP_BENCH_ARRIVALS", value_name = "HOW", default_value = "poisson")]
    arrivals: Arrivals,
    /// Texts in a request.
    #[arg(long, env = "WISP_BENCH_REQUEST_TEXTS", value_name = "N", value_parser = parse_texts, default_value = "1")]
    request_texts: usize,
    /// The lane of requests: interactive, bulk.
    #[arg(long, env = "WISP_BENCH_PRIORITY", value_name = "LANE", value_parser = parse_lane)]
    priority: Option<Lane>,
    /// A stream that runs beside others, in place of clients and rate: name=bulk,clients=8,mix=long,texts=64,priority=bulk. Also rate,
    /// arrivals, deployment, token-file.
    #[arg(long, env = "WISP_BENCH_STREAM", value_name = "SPEC", value_delimiter = ' ')]
    stream: Vec<StreamSpec>,
}

/// What is measured beside load, and on what.
#[derive(Args)]
struct SweepOptions {
    /// What latency is to be, such as p99=5ms: searches the highest rate of an open loop that keeps it; with --clients or --rate,
    /// tells how much of their throughput does.
    #[arg(long, env = "WISP_BENCH_SLO", value_name = "SLO")]
    slo: Option<Slo>,
    /// Backends that are measured one after the other: openvino, ort, candle, or all.
    #[arg(long, env = "WISP_BENCH_BACKENDS", value_name = "BACKEND", value_delimiter = ',')]
    backends: Vec<OneOrAll<BackendId>>,
    /// Devices of --backends, one each time; default: cpu.
    #[arg(long, env = "WISP_BENCH_DEVICES", value_name = "DEVICE", value_delimiter = ' ')]
    devices: Vec<Device>,
    /// Precisions that are measured one after the other: auto, f32, f16, bf16, int8, or all.
    #[arg(long, env = "WISP_BENCH_PRECISIONS", value_name = "PRECISION", value_delimiter = ',')]
    precisions: Vec<OneOrAll<PrecisionChoice>>,
    /// Shapes of batches, rows × tokens, that are measured without a guest: 1x16,32x16,32x128.
    #[arg(long, env = "WISP_BENCH_SHAPES", value_name = "SHAPE", value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// Measure starts: with nothing compiled or proven, with everything, and each part.
    #[arg(long, env = "WISP_BENCH_COLD", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    cold: bool,
}

/// A value of a list, or all that there are.
#[derive(Clone, Copy)]
enum OneOrAll<T> {
    One(T),
    All,
}

impl<T: std::str::FromStr> std::str::FromStr for OneOrAll<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

fn chosen<T: Copy>(values: &[OneOrAll<T>], all: &[T]) -> Vec<T> {
    let one = |value: &OneOrAll<T>| match value {
        OneOrAll::One(value) => vec![*value],
        OneOrAll::All => all.to_vec(),
    };
    values.iter().flat_map(one).collect()
}

/// What is sent.
#[derive(Args)]
struct TextOptions {
    /// Lengths of texts: short (16 tokens), mixed, long (a paragraph), a number of words, or a range such as 6-25.
    #[arg(long, env = "WISP_BENCH_MIX", value_name = "MIX", value_delimiter = ',', default_value = "short,mixed,long")]
    mix: Vec<Mix>,
    /// Texts of this file, one a line, in place of a mix.
    #[arg(long, env = "WISP_BENCH_TEXTS", value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Different texts of each mix. More take longer to check: the right answer of each is computed before anything is measured.
    #[arg(long, env = "WISP_BENCH_POOL", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pool: u32,
    /// Seed of texts and arrivals.
    #[arg(long, env = "WISP_BENCH_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the texts to this file, one a line, and measure nothing.
    #[arg(long, env = "WISP_BENCH_WRITE_TEXTS", value_name = "FILE")]
    write_texts: Option<PathBuf>,
}

/// How it is measured.
#[derive(Args)]
struct MethodOptions {
    /// Time that every run measures, cut into three that must agree.
    #[arg(long, env = "WISP_BENCH_DURATION", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Time before that, under the same load.
    #[arg(long, env = "WISP_BENCH_WARMUP", value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// Longest time that an answer is waited for.
    #[arg(long, env = "WISP_BENCH_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// HTTP/2 connections of a stream; default: one for every 16 clients, at most 8.
    #[arg(long, env = "WISP_BENCH_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Option<u16>,
    /// Threads of the client; default: one for every four processors.
    #[arg(long, env = "WISP_BENCH_CLIENT_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    client_threads: Option<u16>,
    /// A file with the bearer token that requests carry.
    #[arg(long, env = "WISP_BENCH_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Do not compare vectors with their references; the report says so.
    #[arg(long, env = "WISP_BENCH_NO_CHECK", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_check: bool,
}

/// What was measured is a failure, and stands on standard output.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Failed {
    reason: String,
    /// 130 as of a program that Ctrl-C ended, 1 for everything else.
    pub(crate) exit_code: u8,
}

impl Bench {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        if let Some(command) = self.command {
            return command.run(options);
        }
        let mut config = self.config.read()?;
        self.placement.apply(&mut config);
        let plan = self.plan();
        if let Some(file) = &self.texts.write_texts {
            let lines: Vec<_> = pools(&plan)?.into_iter().flat_map(|pool| pool.texts.to_vec()).collect();
            return std::fs::write(file, lines.join("\n") + "\n").with_context(|| file.display().to_string());
        }
        let program = std::env::current_exe().context("the path of this program")?;
        let (stop, store, console) = (CancellationToken::new(), options.store()?, Console::new());
        let signals = stop_on_signals(&stop)?;
        let setting =
            Setting { plan: &plan, config: &config, program: &program, store: &store, progress: &console, stop };
        let report = measure(&setting)?;
        drop(signals);
        // What there is is written before anything can fail because of it.
        write::print(&report, self.format)?;
        self.output.iter().try_for_each(|file| write::write(&report, file))?;
        match report.failure() {
            Some(reason) => {
                let exit_code = if setting.stop.is_cancelled() { 130 } else { 1 };
                Err(Failed { reason, exit_code }.into())
            }
            None => Ok(()),
        }
    }

    /// What was asked for; the default load only where nothing was.
    fn work(&self, is_search: bool) -> Work {
        let (load, sweep) = (&self.load, &self.sweep);
        if !load.stream.is_empty() {
            return Work::Streams(load.stream.clone());
        }
        let clients = load.clients.iter().map(|&clients| Load::Clients(clients));
        let rates = load.rate.iter().map(|&per_second| Load::Rate { per_second, arrivals: load.arrivals });
        let mut loads: Vec<Load> = clients.chain(rates).collect();
        if loads.is_empty() && !is_search {
            if !sweep.shapes.is_empty() || sweep.cold {
                return Work::None;
            }
            loads = DEFAULT_CLIENTS.map(Load::Clients).to_vec();
        }
        Work::Sweep {
            mixes: self.texts.mix.clone(),
            loads,
            request_texts: load.request_texts,
            lane: load.priority.unwrap_or_default(),
        }
    }

    fn plan(&self) -> Plan {
        let (load, sweep, texts, method) = (&self.load, &self.sweep, &self.texts, &self.method);
        let has_load = !load.clients.is_empty() || !load.rate.is_empty() || !load.stream.is_empty();
        let is_search = sweep.slo.is_some() && !has_load;
        let precisions = Precision::ALL.map(PrecisionChoice::Exactly);
        Plan {
            targets: self.target.clone(),
            deployments: self.deployments.clone(),
            work: self.work(is_search),
            texts: texts.texts.clone(),
            pool_texts: texts.pool as usize,
            seed: texts.seed,
            warm_up: method.warmup,
            duration: method.duration,
            timeout: method.timeout,
            connections: method.connections.map(usize::from),
            client_threads: method.client_threads.map(usize::from),
            token_file: method.token_file.clone(),
            is_checked: !method.no_check,
            slo: sweep.slo,
            is_search,
            arrivals: load.arrivals,
            variants: VariantChoice {
                backends: chosen(&sweep.backends, &BackendId::ALL),
                devices: sweep.devices.clone(),
                precisions: chosen(&sweep.precisions, &precisions),
            },
            shapes: sweep.shapes.clone(),
            is_cold: sweep.cold,
        }
    }
}

/// The first Ctrl-C or SIGTERM ends the benchmark and prints what there is; the second one ends the process.
fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<tokio::runtime::Runtime> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("signal handler")?;
    let mut terminate = signal(SignalKind::terminate()).context("signal handler")?;
    let stop = stop.clone();
    runtime.spawn(async move {
        for exit_code in [None, Some(130)] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match exit_code {
                None => stop.cancel(),
                Some(code) => std::process::exit(code),
            }
        }
    });
    Ok(runtime)
}
