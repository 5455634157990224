//! The flags of `wisp bench`, and the plan that they mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use wisp_bench::answer::Lane;
use wisp_bench::load::{Arrivals, Load};
use wisp_bench::mix::Mix;
use wisp_bench::plan::{DeploymentChoice, Plan, TargetChoice, Work, parse_duration};
use wisp_bench::shapes::Shape;
use wisp_bench::slo::Slo;
use wisp_bench::stream_spec::{StreamSpec, parse_clients, parse_lane, parse_rate, parse_texts};
use wisp_bench::variant::VariantChoice;
use wisp_core::{BackendId, Device, Precision};
use wisp_engine::PrecisionChoice;

/// Clients of runs when nothing is said.
const DEFAULT_CLIENTS: [usize; 3] = [1, 8, 32];

/// What is measured, and how.
#[derive(Args)]
pub(super) struct Flags {
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
    /// Make every run so many times, in turn; `compare` puts runs of one name together.
    #[arg(long, env = "WISP_BENCH_REPEAT", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
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

impl Flags {
    /// Where texts are to be written instead of measuring.
    pub(super) fn write_texts(&self) -> Option<&Path> {
        self.texts.write_texts.as_deref()
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

    /// The plan.
    pub(super) fn plan(&self) -> Plan {
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
            repeats: usize::from(method.repeat),
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
