//! A whole benchmark: texts, references, targets, then run after run, and a report of what there is at the end.

mod meter;
mod prepared;
mod runs;
mod search;

use std::path::Path;

use tokio_util::sync::CancellationToken;
use wisp_engine::{BUILTIN_PREFIX, Config};
use wisp_model_store::{Progress, Sha256Digest, Store};

use crate::BenchError;
use crate::cold::measure_cold;
use crate::environment::Environment;
use crate::plan::{Plan, TargetChoice, Work};
use crate::report::{Report, Skipped};
use crate::shapes::measure_shapes;
use crate::targets::{Targets, configure};
use crate::variant::{Variant, variants};
use prepared::Prepared;
pub use prepared::pools;

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

/// Measures everything that the plan says.
///
/// # Errors
/// [`BenchError`] when nothing can be measured. What was measured until something broke is a report that says so.
pub fn measure(setting: &Setting<'_>) -> Result<Report, BenchError> {
    let (config, deployments) = configure(setting.plan, setting.config)?;
    let prepared = Prepared::new(setting, &config, deployments)?;
    let mut report = Report::new(environment(setting, &config), prepared.method_facts());
    let variants = variants(&setting.plan.variants, &config);
    for variant in &variants {
        if setting.stop.is_cancelled() {
            report.ended_early = Some("interrupted".to_owned());
        }
        if report.ended_early.is_some() {
            break;
        }
        match measure_variant(setting, &prepared, variant, &mut report) {
            Ok(()) => {}
            // Of several, one that this machine cannot run is a finding.
            Err(error) if variants.len() > 1 && error.is_about_placement() => report.skipped.push(Skipped {
                variant: variant.name.clone().unwrap_or_default(),
                reason: last_line(&error.to_string()),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

fn measure_variant(
    setting: &Setting<'_>,
    prepared: &Prepared<'_>,
    variant: &Variant,
    report: &mut Report,
) -> Result<(), BenchError> {
    let plan = setting.plan;
    if plan.is_cold {
        report.cold.push(measure_cold(setting, variant, prepared.first_deployment())?);
    }
    let mut targets = Targets::start(plan, &variant.config, setting.program, setting.store, setting.progress)?;
    note_libraries(&mut report.environment, &targets);
    if report.server_start_ms.is_none() {
        report.server_start_ms = targets.server.as_ref().map(|server| server.start_time().as_secs_f64() * 1e3);
    }
    if !plan.shapes.is_empty()
        && let Some(engine) = targets.engine.clone()
    {
        let name = variant.name.as_deref().unwrap_or("the configured placement");
        setting.progress.step(&format!("{} shapes on {name}", plan.shapes.len()), None);
        let model = prepared.model(&engine)?;
        let measured = measure_shapes(&model, &plan.shapes, variant.name.as_deref(), &setting.stop);
        report.shapes.extend(prepared.engine_runtime().block_on(measured)?);
        setting.progress.done(&format!("{} shapes on {name}", plan.shapes.len()));
    }
    if !matches!(plan.work, Work::None) {
        match plan.slo {
            Some(slo) if plan.is_search => prepared.search(&mut targets, variant, slo, report)?,
            _ => prepared.run_all(&mut targets, variant, report)?,
        }
    }
    match targets.server.take() {
        Some(server) if report.ended_early.is_none() => server.stop(),
        _ => Ok(()),
    }
}

fn environment(setting: &Setting<'_>, config: &Config) -> Environment {
    let mut environment = Environment::detect();
    // A server that is not ours has models and guests of its own.
    if setting.plan.targets.iter().any(|target| matches!(target, TargetChoice::Address(_))) {
        return environment;
    }
    for (name, model) in &config.models {
        if let Ok(model) = setting.store.open(&model.source) {
            environment.models.insert(name.clone(), model.digest().to_string());
        }
    }
    for (name, deployment) in &config.deployments {
        let wasm = match deployment.guest.strip_prefix(BUILTIN_PREFIX) {
            Some(builtin) => wisp_engine::builtin_guest(builtin).map(<[u8]>::to_vec),
            None => std::fs::read(&deployment.guest).ok(),
        };
        let digest = wasm.map_or("unknown".to_owned(), |wasm| Sha256Digest::of(&wasm).to_string());
        environment.guests.insert(name.clone(), digest);
    }
    environment
}

/// The libraries that really run.
fn note_libraries(environment: &mut Environment, targets: &Targets) {
    for model in targets.engine.iter().flat_map(|engine| engine.models()) {
        environment.libraries.insert(model.placement.backend.to_string(), model.library_version.clone());
    }
    let told = targets.server.iter().flat_map(super::server::ServerChild::libraries);
    environment.libraries.extend(told);
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("- ").to_owned()
}
