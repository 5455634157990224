//! What is best on this machine: every usable backend, device and precision in a few shapes, and the configuration that follows.

use wisp_core::{BackendReport, Placement, Precision};
use wisp_engine::{Engine, PrecisionChoice};

use crate::BenchError;
use crate::environment::Environment;
use crate::report::{MethodFacts, Report, Skipped};
use crate::session::Setting;
use crate::shapes::{Shape, measure_shapes};

/// A lone short text, many short ones, and paragraphs: what a ranking must weigh.
const SHAPES: [Shape; 3] =
    [Shape { rows: 1, tokens: 16 }, Shape { rows: 32, tokens: 16 }, Shape { rows: 8, tokens: 128 }];

/// A placement and precision with its rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Where.
    pub placement: Placement,
    /// In which arithmetic.
    pub precision: Precision,
    /// Geometric mean of the rows a second of all shapes.
    pub score: f64,
}

/// Measures every usable placement in every precision of its device, best first, with the report of all shapes.
///
/// # Errors
/// [`BenchError`] when nothing can be measured at all.
pub fn survey(setting: &Setting<'_>, backends: &[BackendReport]) -> Result<(Vec<Ranked>, Report), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("threads for the engine"))?;
    let plan = setting.plan;
    let method = MethodFacts {
        warm_up_s: 0.0,
        duration_s: 0.0,
        pool_texts: 0,
        seed: plan.seed,
        is_checked: true,
        client_threads: 0,
        slo: None,
    };
    let mut report = Report::new(Environment::detect(), method);
    let mut ranked = Vec::new();
    for (placement, precision) in usable(backends) {
        if setting.stop.is_cancelled() {
            report.ended_early = Some("interrupted".to_owned());
            break;
        }
        let name = format!("{placement} {precision}");
        let mut config = setting.config.clone();
        for model in config.models.values_mut() {
            (model.placement, model.precision) = (vec![placement], PrecisionChoice::Exactly(precision));
        }
        setting.progress.step(&name, None);
        let measured =
            Engine::start(config, setting.store, setting.progress).map_err(BenchError::from).and_then(|engine| {
                for model in engine.models() {
                    report.environment.libraries.insert(placement.backend.to_string(), model.library_version.clone());
                }
                let model = first_model(&engine)?;
                runtime.block_on(measure_shapes(&model, &SHAPES, Some(&name), &setting.stop))
            });
        match measured {
            Ok(figures) => {
                let logarithms: f64 = figures.iter().map(|figures| figures.rows_per_s.ln()).sum();
                if !figures.is_empty() {
                    ranked.push(Ranked { placement, precision, score: (logarithms / figures.len() as f64).exp() });
                }
                report.shapes.extend(figures);
                setting.progress.done(&format!("{name} measured"));
            }
            Err(error) => {
                setting.progress.done(&format!("{name} cannot be used"));
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim().trim_start_matches("- ").to_owned();
                report.skipped.push(Skipped { variant: name, reason });
            }
        }
    }
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok((ranked, report))
}

/// The placements in the order of their best precision, as text for `wisp.toml`.
#[must_use]
pub fn configuration(ranked: &[Ranked], models: &[&str]) -> String {
    // The first of each placement is its best.
    let mut best: Vec<&Ranked> = Vec::new();
    for entry in ranked {
        if best.iter().all(|known| known.placement != entry.placement) {
            best.push(entry);
        }
    }
    let order: Vec<_> = best.iter().map(|entry| format!("\"{}\"", entry.placement)).collect();
    let facts: Vec<_> = best.iter().map(|entry| format!("{} in {}", entry.placement, entry.precision)).collect();
    let mut text = String::new();
    for model in models {
        text += &format!("[models.{model}]\n");
        text += &format!("placement = [{}]\n", order.join(", "));
        // An explicit precision would be an error on a placement that lacks it.
        text += &format!("precision = \"auto\" # fastest here: {}\n", facts.join(", "));
    }
    text
}

fn usable(backends: &[BackendReport]) -> Vec<(Placement, Precision)> {
    let devices = backends.iter().flat_map(|report| report.devices.iter().map(move |device| (report.backend, device)));
    let usable = devices.filter(|(_, device)| device.missing.is_none());
    usable
        .flat_map(|(backend, device)| {
            let placement = Placement { backend, device: device.device };
            device.precisions.iter().map(move |&precision| (placement, precision))
        })
        .collect()
}

fn first_model(engine: &Engine) -> Result<std::sync::Arc<wisp_host::GrantedModel>, BenchError> {
    let deployments = engine.deployments();
    let granted = deployments.iter().find_map(|deployment| {
        let (_, _, grants) = engine.guest(&deployment.name)?;
        Some(std::sync::Arc::clone(grants.iter().next()?.1))
    });
    granted.ok_or_else(|| BenchError::NoBackend {
        deployment: deployments.first().map(|deployment| deployment.name.clone()).unwrap_or_default(),
        reason: "it is granted no model".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use wisp_core::{BackendId, Device, DeviceReport};

    use super::*;

    fn ranked(backend: BackendId, precision: Precision, score: f64) -> Ranked {
        Ranked { placement: Placement { backend, device: Device::Cpu }, precision, score }
    }

    #[test]
    fn the_configuration_lists_each_placement_once_and_the_best_first() {
        let ranked = [
            ranked(BackendId::Ort, Precision::F32, 30.0),
            ranked(BackendId::OpenVino, Precision::Int8, 20.0),
            ranked(BackendId::OpenVino, Precision::F32, 10.0),
        ];
        let text = configuration(&ranked, &["m"]);
        assert!(
            text.contains("[models.m]\nplacement = [\"ort:cpu\", \"openvino:cpu\"]\nprecision = \"auto\""),
            "{text}"
        );
        assert!(text.contains("ort:cpu in f32, openvino:cpu in int8"), "{text}");
    }

    #[test]
    fn what_is_missing_is_not_measured() {
        let device = |device, missing: Option<&str>| DeviceReport {
            device,
            name: None,
            missing: missing.map(str::to_owned),
            precisions: vec![Precision::F32, Precision::Int8],
        };
        let devices = vec![device(Device::Cpu, None), device(Device::Npu, Some("no driver"))];
        let report = BackendReport { backend: BackendId::OpenVino, version: None, library: None, devices };
        let names: Vec<_> = usable(&[report]).iter().map(|(at, precision)| format!("{at} {precision}")).collect();
        assert_eq!(names, ["openvino:cpu f32", "openvino:cpu int8"]);
    }
}
