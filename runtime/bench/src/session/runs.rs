//! The runs of a plan, one after the other.

use std::sync::Arc;

use super::meter::Meter;
use super::prepared::Prepared;
use crate::BenchError;
use crate::answer::Lane;
use crate::figures::{RunFigures, StreamFacts, StreamFigures};
use crate::load::Load;
use crate::mix::Mix;
use crate::plan::{TargetChoice, Work};
use crate::pool::FILE;
use crate::refusals;
use crate::report::Report;
use crate::run::{EndedEarly, Method, Outcome, Stream, run};
use crate::server::ServerChild;
use crate::stream_spec::StreamSpec;
use crate::targets::{Targets, Way, connections, token};
use crate::variant::Variant;

/// Windows of a run: four for each third that must agree.
const WINDOWS: usize = 12;

/// One run that is to be made.
pub(super) struct Planned<'a> {
    pub(super) name: String,
    pub(super) variant: Option<&'a str>,
    pub(super) target: &'a TargetChoice,
    /// Streams with their bearer tokens.
    pub(super) streams: Vec<(StreamFacts, Option<String>)>,
}

impl Prepared<'_> {
    /// Makes every run of the plan, until the target is gone or somebody ends it.
    pub(super) fn run_all(
        &self,
        targets: &mut Targets,
        variant: &Variant,
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let planned = self.planned(variant)?;
        for planned in (0..self.setting.plan.repeats).flat_map(|_| &planned) {
            let run = self.run(targets, planned)?;
            report.ended_early.clone_from(&run.ended_early);
            report.runs.push(run);
            if report.ended_early.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Targets are next to each other, so that a change of the machine's speed meets all of them.
    fn planned<'a>(&'a self, variant: &'a Variant) -> Result<Vec<Planned<'a>>, BenchError> {
        let plan = self.setting.plan;
        let default_token = token(plan.token_file.as_deref())?;
        let mut planned = Vec::new();
        match &plan.work {
            Work::None => {}
            Work::Sweep { loads, request_texts, lane, .. } => {
                let pools = self.deployments.iter().flat_map(|name| self.pools.iter().map(move |pool| (name, pool)));
                for (deployment, pool) in pools {
                    for (load, target) in loads.iter().flat_map(|load| plan.targets.iter().map(move |to| (load, to))) {
                        let facts = facts("all", deployment, &pool.name, (*load, *request_texts, *lane));
                        planned.push(sweep_run(variant, target, facts, default_token.clone()));
                    }
                }
            }
            Work::Streams(specs) => {
                let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
                for target in &plan.targets {
                    let streams = specs.iter().map(|spec| self.stream(spec, default_token.as_ref()));
                    planned.push(Planned {
                        name: named(variant, target, &names.join(" + ")),
                        variant: variant.name.as_deref(),
                        target,
                        streams: streams.collect::<Result<_, _>>()?,
                    });
                }
            }
        }
        Ok(planned)
    }

    fn stream(&self, spec: &StreamSpec, token: Option<&String>) -> Result<(StreamFacts, Option<String>), BenchError> {
        let deployment = spec.deployment.clone().unwrap_or_else(|| self.first_deployment().to_owned());
        if !self.deployments.contains(&deployment) {
            let looked_at = format!("--deployments {deployment}").into();
            return Err(BenchError::NoDeployment { name: deployment, looked_at });
        }
        let mix = match &self.setting.plan.texts {
            Some(_) => FILE.to_owned(),
            None => spec.mix.unwrap_or(Mix::Short).to_string(),
        };
        let own = self::token(spec.token_file.as_deref())?;
        let facts = facts(&spec.name, &deployment, &mix, (spec.load, spec.request_texts, spec.lane));
        Ok((facts, own.or_else(|| token.cloned())))
    }

    /// Makes one run.
    pub(super) fn run(&self, targets: &mut Targets, planned: &Planned<'_>) -> Result<RunFigures, BenchError> {
        let plan = self.setting.plan;
        let (name, length) = (&planned.name, plan.warm_up + plan.duration);
        self.setting.progress.step(&format!("{name} ({} s)", length.as_secs_f64()), None);
        let runtime = self.runtime(planned.target);
        let streams = runtime.block_on(self.streams(targets, planned))?;
        let measured = match planned.target {
            TargetChoice::Server => targets.server.as_ref().map(ServerChild::pid),
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
        let mut meter = Meter::new(measured, plan.warm_up, plan.duration);
        let is_ours = *planned.target == TargetChoice::Server;
        let server = &mut targets.server;
        let refused = |server: &Option<ServerChild>| {
            let metrics = server.as_ref().filter(|_| is_ours).and_then(ServerChild::metrics);
            refusals::read(&metrics.unwrap_or_default())
        };
        let refused_before = refused(server);
        let outcome = runtime.block_on(run(streams, method, &self.setting.stop, || {
            meter.tick();
            let server = server.as_mut().filter(|_| is_ours)?;
            Some(format!("`wisp serve` ended ({})", server.ended()?))
        }));
        meter.tick();
        let mut figures = figures(planned, &outcome, &meter, plan.slo);
        figures.refusals = refusals::between(&refused_before, &refused(&targets.server));
        figures.ended_early = outcome.ended_early.as_ref().map(|ended| reason(ended, planned, targets));
        self.setting.progress.done(&summary(&figures));
        Ok(figures)
    }

    async fn streams(&self, targets: &Targets, planned: &Planned<'_>) -> Result<Vec<Stream>, BenchError> {
        let mut streams = Vec::new();
        for (facts, token) in &planned.streams {
            let clients = match facts.load {
                Load::Clients(clients) => clients,
                // How many will be on their way nobody knows before.
                Load::Rate { .. } => usize::MAX,
            };
            let way = Way {
                choice: planned.target,
                deployment: &facts.deployment,
                connections: connections(self.setting.plan, clients),
                token: token.clone(),
            };
            let Some(pool) = self.pools.iter().find(|pool| pool.name == facts.mix) else { continue };
            streams.push(Stream {
                facts: facts.clone(),
                target: targets.reach(way).await?,
                texts: Arc::clone(&pool.texts),
                expectation: self.expectation(&facts.deployment, &facts.mix),
            });
        }
        Ok(streams)
    }
}

/// A run of one stream.
pub(super) fn sweep_run<'a>(
    variant: &'a Variant,
    target: &'a TargetChoice,
    facts: StreamFacts,
    token: Option<String>,
) -> Planned<'a> {
    let texts = if facts.mix == FILE { "texts of a file" } else { &facts.mix };
    let name = named(variant, target, &format!("{} {texts} {}", facts.deployment, facts.load));
    Planned { name, variant: variant.name.as_deref(), target, streams: vec![(facts, token)] }
}

pub(super) fn facts(name: &str, deployment: &str, mix: &str, how: (Load, usize, Lane)) -> StreamFacts {
    let (load, request_texts, lane) = how;
    let (name, deployment, mix) = (name.to_owned(), deployment.to_owned(), mix.to_owned());
    StreamFacts { name, deployment, mix, load, request_texts, lane }
}

fn named(variant: &Variant, target: &TargetChoice, rest: &str) -> String {
    let variant = variant.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
    format!("{variant}{} {rest}", target.kind())
}

fn reason(ended: &EndedEarly, planned: &Planned<'_>, targets: &Targets) -> String {
    match (ended, &targets.server) {
        (EndedEarly::Interrupted, _) => "interrupted".to_owned(),
        (EndedEarly::Gone(how), Some(server)) if *planned.target == TargetChoice::Server => {
            format!("the server is gone in the middle of `{}`: {how}{}", planned.name, server.log_tail())
        }
        (EndedEarly::Gone(how), _) => format!("the server is gone in the middle of `{}`: {how}", planned.name),
    }
}

fn figures(planned: &Planned<'_>, outcome: &Outcome, meter: &Meter, slo: Option<crate::slo::Slo>) -> RunFigures {
    let measured = outcome.recorders.iter().map(|recorder| recorder.span.duration).max().unwrap_or_default();
    let streams = planned.streams.iter().zip(&outcome.recorders);
    let streams: Vec<_> = streams.map(|((facts, _), noted)| StreamFigures::of(facts.clone(), noted, slo)).collect();
    let texts_per_s = streams.iter().map(|stream| stream.texts_per_s).sum();
    RunFigures {
        name: planned.name.clone(),
        variant: planned.variant.map(str::to_owned),
        target: planned.target.kind().to_owned(),
        measured_s: measured.as_secs_f64(),
        client_cpu_share: meter.client_cpu_share(),
        others_cpu_share: meter.others_cpu_share(),
        yardstick_us: meter.yardstick_us(),
        usage: meter.usage(texts_per_s),
        refusals: Vec::new(),
        ended_early: None,
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
