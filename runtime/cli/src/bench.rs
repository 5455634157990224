//! `wisp bench`: flags to a plan, a report to where it is wanted.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use wisp_bench::answer::Lane;
use wisp_bench::load::{Arrivals, Load};
use wisp_bench::mix::Mix;
use wisp_bench::plan::{DeploymentChoice, Plan, TargetChoice, Work, parse_duration};
use wisp_bench::report::Report;
use wisp_bench::stream_spec::{StreamSpec, parse_clients, parse_lane, parse_rate, parse_texts};
use wisp_bench::{Setting, measure, output, pools};

use crate::GlobalOptions;
use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;

/// Measure throughput and latency, with every answer checked.
///
/// Without flags: starts a server of its own on a loopback port and embeds short, mixed and long texts with 1, 8 and 32 clients.
#[derive(Args)]
pub(crate) struct Bench {
    /// What is measured: server (started for it), engine and backend (in this process), grpc://HOST:PORT.
    #[arg(long, env = "WISP_BENCH_TARGET", value_name = "TARGET", value_delimiter = ',', default_value = "server")]
    target: Vec<TargetChoice>,
    /// Deployments, one after the other: names of the configuration, or NAME=FILE.wasm. Default: all that are configured.
    #[arg(long, env = "WISP_BENCH_DEPLOYMENTS", value_name = "NAME", value_delimiter = ',')]
    deployments: Vec<DeploymentChoice>,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    texts: TextOptions,
    #[command(flatten)]
    method: MethodOptions,
    /// Form of the result on standard output.
    #[arg(long, env = "WISP_BENCH_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: BenchFormat,
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// How much is asked at one time.
#[derive(Args)]
struct LoadOptions {
    /// Clients of a closed loop, one run each.
    #[arg(long, env = "WISP_BENCH_CLIENTS", value_name = "N", value_delimiter = ',', value_parser = parse_clients, default_value = "1,8,32")]
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

/// Form of a report.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BenchFormat {
    /// For people.
    Table,
    /// For programs; docs/benchmarks.md describes it.
    Json,
    /// For documents.
    Markdown,
    /// For spreadsheets: one line a stream of a run.
    Csv,
}

/// What was measured is a failure, and stands on standard output.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl Bench {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
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
        drop((console, signals));
        self.print(&report)?;
        match report.failure() {
            Some(reason) => Err(Failed(reason).into()),
            None => Ok(()),
        }
    }

    fn plan(&self) -> Plan {
        let (load, texts, method) = (&self.load, &self.texts, &self.method);
        let work = if load.stream.is_empty() {
            let rates = load.rate.iter().map(|&per_second| Load::Rate { per_second, arrivals: load.arrivals });
            let clients = load.clients.iter().map(|&clients| Load::Clients(clients));
            Work::Sweep {
                mixes: texts.mix.clone(),
                loads: if load.rate.is_empty() { clients.collect() } else { rates.collect() },
                request_texts: load.request_texts,
                lane: load.priority.unwrap_or_default(),
            }
        } else {
            Work::Streams(load.stream.clone())
        };
        Plan {
            targets: self.target.clone(),
            deployments: self.deployments.clone(),
            work,
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
        }
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        match self.format {
            BenchFormat::Table => crate::output::line(output::table::render(report).trim_end())?,
            BenchFormat::Json => crate::output::line(serde_json::to_string_pretty(report)?)?,
            BenchFormat::Markdown => crate::output::line(output::markdown::render(report).trim_end())?,
            BenchFormat::Csv => crate::output::line(output::csv::render(report).trim_end())?,
        }
        Ok(())
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
