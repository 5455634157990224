//! A whole benchmark: texts, references, targets, then run after run, and a report of what there is at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use wisp_engine::{BUILTIN_PREFIX, Config};
use wisp_model_store::{Progress, Sha256Digest, Store};

use crate::environment::Environment;
use crate::expectation::Expectation;
use crate::figures::{RunFigures, StreamFacts, StreamFigures, UsageFigures};
use crate::load::Load;
use crate::plan::{Plan, TargetChoice, Work};
use crate::pool::Pool;
use crate::process::{self, Usage};
use crate::reference::References;
use crate::report::{MethodFacts, Report, SCHEMA};
use crate::run::{EndedEarly, Method, Outcome, Stream, run};
use crate::stream_spec::StreamSpec;
use crate::targets::{Targets, Way, configure, connections, run_name, token};
use crate::{BenchError, answer::Lane, mix::Mix};

/// Windows of a run: four for each third that must agree.
const WINDOWS: usize = 12;

/// Processors for one thread of the client.
const PROCESSORS_PER_THREAD: usize = 4;

/// What a benchmark needs beside its plan.
pub struct Setting<'a> {
    /// What is to be measured.
    pub plan: &'a Plan,
    /// Models and deployments.
    pub config: &'a Config,
    /// The binary that `serve` is a command of.
    pub program: &'a Path,
    /// Models and libraries.
    pub store: &'a Store,
    /// Who is told how it goes.
    pub progress: &'a dyn Progress,
    /// Ends the benchmark early.
    pub stop: CancellationToken,
}

/// Everything that stays the same over the runs.
struct Prepared<'a> {
    setting: &'a Setting<'a>,
    deployments: Vec<String>,
    pools: Vec<Pool>,
    expectations: BTreeMap<(String, String), Arc<Expectation>>,
    client: Runtime,
    engine: Runtime,
    client_threads: usize,
}

/// One run that is to be made.
struct Planned<'a> {
    name: String,
    target: &'a TargetChoice,
    streams: Vec<(StreamFacts, Option<String>)>,
}

/// Measures everything that the plan says.
///
/// # Errors
/// [`BenchError`] when nothing can be measured. What was measured until something broke is a report that says so.
pub fn measure(setting: &Setting<'_>) -> Result<Report, BenchError> {
    let (config, deployments) = configure(setting.plan, setting.config)?;
    let prepared = prepare(setting, &config, deployments)?;
    let mut targets = Targets::start(setting.plan, &config, setting.program, setting.store, setting.progress)?;
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        environment: environment(setting, &config, &targets),
        method: prepared.method_facts(),
        server_start_ms: targets.server.as_ref().map(|server| server.start_time().as_secs_f64() * 1e3),
        runs: Vec::new(),
        ended_early: None,
    };
    for planned in prepared.planned()? {
        let (figures, ended_early) = prepared.run(&mut targets, &planned)?;
        setting.progress.done(&summary(&figures));
        report.runs.push(figures);
        if let Some(reason) = ended_early {
            report.ended_early = Some(reason);
            break;
        }
    }
    if let Some(server) = targets.server.take()
        && report.ended_early.is_none()
    {
        server.stop()?;
    }
    Ok(report)
}

/// The texts of a plan, one pool a mix.
///
/// # Errors
/// [`BenchError::Io`] and [`BenchError::NoTexts`] for a file of texts.
pub fn pools(plan: &Plan) -> Result<Vec<Pool>, BenchError> {
    if let Some(file) = &plan.texts {
        return Ok(vec![Pool::read(file, plan.pool_texts)?]);
    }
    let mixes = match &plan.work {
        Work::Sweep { mixes, .. } => mixes.clone(),
        Work::Streams(streams) => streams.iter().map(|stream| stream.mix.unwrap_or(Mix::Short)).collect(),
    };
    let mut pools: Vec<Pool> = Vec::new();
    for mix in mixes {
        if pools.iter().all(|pool| pool.name != mix.to_string()) {
            pools.push(Pool::of(mix, plan.pool_texts, plan.seed));
        }
    }
    Ok(pools)
}

fn prepare<'a>(
    setting: &'a Setting<'a>,
    config: &Config,
    deployments: Vec<String>,
) -> Result<Prepared<'a>, BenchError> {
    let plan = setting.plan;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let client_threads = plan.client_threads.unwrap_or_else(|| (processors / PROCESSORS_PER_THREAD).max(1));
    let runtime = BenchError::io("threads for the client");
    let client = Builder::new_multi_thread().worker_threads(client_threads).enable_all().build().map_err(runtime)?;
    let runtime = BenchError::io("threads for the engine");
    let engine = Builder::new_multi_thread().enable_all().build().map_err(runtime)?;
    let pools = pools(plan)?;
    let mut expectations = BTreeMap::new();
    if plan.is_checked {
        let mut references = References::new(config, setting.store, setting.progress, engine.handle());
        for deployment in &deployments {
            for pool in &pools {
                let expectation = references.get(deployment, pool)?;
                expectations.insert((deployment.clone(), pool.name.clone()), Arc::new(expectation));
            }
        }
    }
    Ok(Prepared { setting, deployments, pools, expectations, client, engine, client_threads })
}

impl Prepared<'_> {
    fn method_facts(&self) -> MethodFacts {
        let plan = self.setting.plan;
        MethodFacts {
            warm_up_s: plan.warm_up.as_secs_f64(),
            duration_s: plan.duration.as_secs_f64(),
            pool_texts: self.pools.iter().map(|pool| pool.texts.len()).max().unwrap_or(0),
            seed: plan.seed,
            is_checked: plan.is_checked,
            client_threads: self.client_threads,
        }
    }

    /// Every run of the plan. Targets are next to each other, so that a change of the machine's speed meets all of them.
    fn planned(&self) -> Result<Vec<Planned<'_>>, BenchError> {
        let plan = self.setting.plan;
        let default_token = token(plan.token_file.as_deref())?;
        let mut planned = Vec::new();
        match &plan.work {
            Work::Sweep { loads, request_texts, lane, .. } => {
                for deployment in &self.deployments {
                    for mix in self.pools.iter().map(|pool| &pool.name) {
                        for load in loads {
                            for target in &plan.targets {
                                let facts = facts("all", deployment, mix, (*load, *request_texts, *lane));
                                planned.push(Planned {
                                    name: run_name(target, deployment, mix, load),
                                    target,
                                    streams: vec![(facts, default_token.clone())],
                                });
                            }
                        }
                    }
                }
            }
            Work::Streams(specs) => {
                for target in &plan.targets {
                    let streams = specs.iter().map(|spec| self.stream(spec, default_token.as_ref()));
                    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
                    planned.push(Planned {
                        name: format!("{target} {}", names.join(" + ")),
                        target,
                        streams: streams.collect::<Result<_, _>>()?,
                    });
                }
            }
        }
        Ok(planned)
    }

    fn stream(&self, spec: &StreamSpec, token: Option<&String>) -> Result<(StreamFacts, Option<String>), BenchError> {
        let first = self.deployments.first().cloned().unwrap_or_default();
        let deployment = spec.deployment.clone().unwrap_or(first);
        if !self.deployments.contains(&deployment) {
            let looked_at = format!("--deployments {deployment}").into();
            return Err(BenchError::NoDeployment { name: deployment, looked_at });
        }
        let mix = match &self.setting.plan.texts {
            Some(_) => crate::pool::FILE.to_owned(),
            None => spec.mix.unwrap_or(Mix::Short).to_string(),
        };
        let own = self::token(spec.token_file.as_deref())?;
        let facts = facts(&spec.name, &deployment, &mix, (spec.load, spec.request_texts, spec.lane));
        Ok((facts, own.or_else(|| token.cloned())))
    }

    fn run(&self, targets: &mut Targets, planned: &Planned<'_>) -> Result<(RunFigures, Option<String>), BenchError> {
        let plan = self.setting.plan;
        let runtime = if planned.target.is_in_process() { &self.engine } else { &self.client };
        let length = plan.warm_up + plan.duration;
        self.setting.progress.step(&format!("{} ({} s)", planned.name, length.as_secs_f64()), None);
        let streams = runtime.block_on(self.streams(targets, planned))?;
        let measured = match planned.target {
            TargetChoice::Server => targets.server.as_ref().map(super::server::ServerChild::pid),
            TargetChoice::Engine | TargetChoice::Backend => Some(std::process::id()),
            TargetChoice::Address(_) => None,
        };
        let method = Method {
            warm_up: plan.warm_up,
            duration: plan.duration,
            windows: WINDOWS,
            drain: plan.timeout,
            seed: plan.seed,
        };
        let mut meter = Meter::new(measured, method.warm_up);
        let server = &mut targets.server;
        let outcome = runtime.block_on(async {
            let watch = || {
                meter.tick();
                server.as_mut().and_then(|server| Some(format!("`wisp serve` ended ({})", server.ended()?)))
            };
            run(streams, method, &self.setting.stop, watch).await
        });
        meter.end();
        let ended_early = outcome.ended_early.as_ref().map(|ended| self.reason(ended, planned, targets));
        Ok((figures(planned, outcome, &meter), ended_early))
    }

    fn reason(&self, ended: &EndedEarly, planned: &Planned<'_>, targets: &Targets) -> String {
        match (ended, &targets.server) {
            (EndedEarly::Interrupted, _) => "interrupted".to_owned(),
            (EndedEarly::Gone(how), Some(server)) if *planned.target == TargetChoice::Server => {
                format!("the server is gone in the middle of {}: {how}; {}", planned.name, server.failed("ended"))
            }
            (EndedEarly::Gone(how), _) => format!("the server is gone in the middle of {}: {how}", planned.name),
        }
    }

    async fn streams(&self, targets: &Targets, planned: &Planned<'_>) -> Result<Vec<Stream>, BenchError> {
        let mut streams = Vec::new();
        for (facts, token) in &planned.streams {
            let clients = match facts.load {
                Load::Clients(clients) => clients,
                // Requests on their way are not known before; as many connections as make sense.
                Load::Rate { .. } => usize::MAX,
            };
            let way = Way {
                choice: planned.target,
                deployment: &facts.deployment,
                connections: connections(self.setting.plan, clients),
                token: token.clone(),
            };
            let key = (facts.deployment.clone(), facts.mix.clone());
            let Some(pool) = self.pools.iter().find(|pool| pool.name == facts.mix) else { continue };
            streams.push(Stream {
                facts: facts.clone(),
                target: targets.reach(way).await?,
                texts: Arc::clone(&pool.texts),
                expectation: self.expectations.get(&key).cloned(),
            });
        }
        Ok(streams)
    }
}

/// What processes use while a run is measured.
struct Meter {
    target: Option<u32>,
    warm_at: std::time::Instant,
    started: Option<Sample>,
    ended: Option<Sample>,
}

/// What was used until a point in time.
#[derive(Clone, Copy)]
struct Sample {
    at: std::time::Instant,
    client: Option<Usage>,
    target: Option<Usage>,
}

impl Meter {
    fn new(target: Option<u32>, warm_up: Duration) -> Self {
        Self { target, warm_at: std::time::Instant::now() + warm_up, started: None, ended: None }
    }

    /// Begins to count when warming up is over.
    fn tick(&mut self) {
        if self.started.is_none() && std::time::Instant::now() >= self.warm_at {
            self.target.iter().for_each(|&pid| process::reset_peak(pid));
            self.started = Some(self.sample());
        }
        // The last sample of a process that is gone is the one before.
        if self.started.is_some() {
            let sample = self.sample();
            self.ended = Some(sample).filter(|sample| sample.target.is_some() || self.target.is_none()).or(self.ended);
        }
    }

    fn end(&mut self) {
        self.tick();
    }

    fn sample(&self) -> Sample {
        Sample {
            at: std::time::Instant::now(),
            client: process::usage(std::process::id()),
            target: self.target.and_then(process::usage),
        }
    }

    fn client_cpu_share(&self) -> Option<f64> {
        if self.target == Some(std::process::id()) {
            return None;
        }
        let (started, ended) = (self.started?, self.ended?);
        let used = ended.client?.cpu.saturating_sub(started.client?.cpu);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Some(used.as_secs_f64() / (ended.at - started.at).as_secs_f64() / processors as f64)
    }

    fn usage(&self, texts_per_s: f64) -> Option<UsageFigures> {
        let (started, ended) = (self.started?, self.ended?);
        let cpu_s = ended.target?.cpu.saturating_sub(started.target?.cpu).as_secs_f64();
        let texts = texts_per_s * (ended.at - started.at).as_secs_f64();
        Some(UsageFigures {
            cpu_s,
            cpu_s_per_1000_texts: (texts > 0.0).then(|| cpu_s / texts * 1e3),
            peak_rss_bytes: ended.target?.peak_bytes,
            joules: None,
        })
    }
}

fn facts(name: &str, deployment: &str, mix: &str, how: (Load, usize, Lane)) -> StreamFacts {
    let (load, request_texts, lane) = how;
    let (name, deployment, mix) = (name.to_owned(), deployment.to_owned(), mix.to_owned());
    StreamFacts { name, deployment, mix, load, request_texts, lane }
}

fn figures(planned: &Planned<'_>, outcome: Outcome, meter: &Meter) -> RunFigures {
    let measured = outcome.recorders.iter().map(|recorder| recorder.span.duration).max().unwrap_or_default();
    let streams = planned.streams.iter().zip(&outcome.recorders);
    let streams: Vec<_> = streams.map(|((facts, _), noted)| StreamFigures::of(facts.clone(), noted)).collect();
    let texts_per_s = streams.iter().map(|stream| stream.texts_per_s).sum();
    RunFigures {
        name: planned.name.clone(),
        target: if planned.target.is_in_process() { planned.target.to_string() } else { "server".to_owned() },
        measured_s: measured.as_secs_f64(),
        client_cpu_share: meter.client_cpu_share(),
        usage: meter.usage(texts_per_s),
        ended_early: outcome.ended_early.map(|ended| match ended {
            EndedEarly::Interrupted => "interrupted".to_owned(),
            EndedEarly::Gone(how) => how,
        }),
        streams,
    }
}

/// A run in a line, for whoever waits.
fn summary(run: &RunFigures) -> String {
    let streams = run.streams.iter().map(|stream| {
        let p50 =
            stream.latency.map_or("no answer".to_owned(), |latency| format!("p50 {:.2} ms", latency.p50_us / 1e3));
        format!("{:.0} texts/s, {p50}", stream.texts_per_s)
    });
    format!("{}: {}", run.name, streams.collect::<Vec<_>>().join("; "))
}

fn environment(setting: &Setting<'_>, config: &Config, targets: &Targets) -> Environment {
    let mut environment = Environment::detect();
    for (name, model) in &config.models {
        if let Ok(model) = setting.store.open(&model.source) {
            environment.models.insert(name.clone(), model.digest().to_string());
        }
    }
    for (name, deployment) in &config.deployments {
        let digest = match deployment.guest.strip_prefix(BUILTIN_PREFIX) {
            Some(_) => deployment.guest.clone(),
            None => std::fs::read(&deployment.guest).map_or(String::new(), |wasm| Sha256Digest::of(&wasm).to_string()),
        };
        environment.guests.insert(name.clone(), digest);
    }
    let in_process = targets.engine.iter().flat_map(|engine| engine.models());
    for model in in_process {
        environment.libraries.insert(model.placement.backend.to_string(), model.library_version.clone());
    }
    environment
}
