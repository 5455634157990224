//! The text of `wisp.toml`, to a checked configuration and back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use wisp_core::{Placement, StaticShape};

use super::{Config, DeploymentConfig, GuestLimits, ModelConfig, RequestLimits, ServerConfig};
use crate::BUILTIN_PREFIX;

/// Names of deployments, models and aliases: they stand in messages, metrics and file names.
const NAME_LIMIT_CHARS: usize = 63;

/// Longest axis that a model is compiled for: far beyond what any encoder takes.
const STATIC_LIMIT: usize = 65_536;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: Server,
    #[serde(default)]
    models: BTreeMap<Spanned<String>, Model>,
    #[serde(default)]
    deployments: BTreeMap<Spanned<String>, Deployment>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    grpc: Option<Spanned<String>>,
    limits: RequestLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    source: Option<Spanned<String>>,
    placement: Option<Spanned<Vec<Spanned<String>>>>,
    precision: Option<Spanned<String>>,
    /// Pairs of rows and length.
    #[serde(default)]
    static_shapes: Vec<Spanned<[usize; 2]>>,
    memory_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    guest: Spanned<String>,
    models: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    limits: GuestLimits,
}

/// A problem at a place in the text.
struct Problem {
    span: Range<usize>,
    message: String,
}

/// Reads and checks; the error starts with file, line and column.
pub(super) fn parse(text: &str, origin: &Path) -> Result<Config, String> {
    let located = |problem: Problem| {
        let (line, column) = position(text, problem.span.start);
        format!("{}:{line}:{column}: {}", origin.display(), problem.message)
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        located(Problem { span, message: error.message().to_owned() })
    })?;
    let folder = origin.parent().unwrap_or(Path::new("."));
    check(file, folder).map_err(located)
}

/// Line and column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

fn check(file: File, folder: &Path) -> Result<Config, Problem> {
    let defaults = Config::default();
    let server = check_server(file.server)?;
    let mut models = BTreeMap::new();
    for (name, model) in file.models {
        let model = check_model(&name, model, folder)?;
        models.insert(checked_name(name)?, model);
    }
    let models = if models.is_empty() { defaults.models } else { models };
    let mut deployments = BTreeMap::new();
    for (name, deployment) in file.deployments {
        let deployment = check_deployment(deployment, &models, folder)?;
        deployments.insert(checked_name(name)?, deployment);
    }
    if deployments.is_empty() {
        // A file that only moves the listener keeps the built-in deployment, as long as its model is still there.
        deployments = defaults.deployments;
        deployments.retain(|_, deployment| deployment.models.values().all(|model| models.contains_key(model)));
    }
    if deployments.is_empty() {
        let message = "no deployment is configured; add [deployments.NAME] with guest and models".to_owned();
        return Err(Problem { span: 0..0, message });
    }
    Ok(Config { server, models, deployments })
}

fn check_server(server: Server) -> Result<ServerConfig, Problem> {
    let grpc = match server.grpc {
        Some(text) => text.get_ref().parse().map_err(|_| Problem {
            span: text.span(),
            message: format!("`{}` is not an address; write IP:PORT, such as 127.0.0.1:50051", text.get_ref()),
        })?,
        None => ServerConfig::default().grpc,
    };
    Ok(ServerConfig { grpc, limits: server.limits })
}

fn check_model(name: &Spanned<String>, model: Model, folder: &Path) -> Result<ModelConfig, Problem> {
    let defaults = ModelConfig::default();
    let source = match model.source {
        Some(source) => resolve(source.get_ref(), folder),
        None => name.get_ref().clone(),
    };
    let placement = match model.placement {
        Some(list) if list.get_ref().is_empty() => {
            let message = "placement is empty; list at least one backend:device, such as \"ort:cpu\"".to_owned();
            return Err(Problem { span: list.span(), message });
        }
        Some(list) => list.into_inner().into_iter().map(check_placement).collect::<Result<_, _>>()?,
        None => defaults.placement,
    };
    let precision = match model.precision {
        Some(text) => text.get_ref().parse().map_err(|error: wisp_core::PrecisionError| Problem {
            span: text.span(),
            message: format!("{error}, or auto"),
        })?,
        None => defaults.precision,
    };
    let static_shapes = model.static_shapes.into_iter().map(check_shape).collect::<Result<_, _>>()?;
    Ok(ModelConfig { source, placement, precision, static_shapes, memory_bytes: model.memory_bytes })
}

fn check_shape(shape: Spanned<[usize; 2]>) -> Result<StaticShape, Problem> {
    let [rows, length] = *shape.get_ref();
    if !(1..=STATIC_LIMIT).contains(&rows) || !(1..=STATIC_LIMIT).contains(&length) {
        let message = format!("[{rows}, {length}] is no shape; write [rows, length], each from 1 to {STATIC_LIMIT}");
        return Err(Problem { span: shape.span(), message });
    }
    Ok(StaticShape { rows, length })
}

fn check_placement(text: Spanned<String>) -> Result<Placement, Problem> {
    let parsed = text.get_ref().parse();
    parsed.map_err(|error: wisp_core::PlacementError| Problem { span: text.span(), message: error.to_string() })
}

fn check_deployment(
    deployment: Deployment,
    models: &BTreeMap<String, ModelConfig>,
    folder: &Path,
) -> Result<DeploymentConfig, Problem> {
    let mut grants = BTreeMap::new();
    for (alias, model) in deployment.models {
        if !models.contains_key(model.get_ref()) {
            let known: Vec<_> = models.keys().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "model `{}` is not configured; add [models.{}] or use one of {}",
                model.get_ref(),
                model.get_ref(),
                known.join(", ")
            );
            return Err(Problem { span: model.span(), message });
        }
        grants.insert(alias.into_inner(), model.into_inner());
    }
    let guest = deployment.guest.into_inner();
    let guest = if guest.starts_with(BUILTIN_PREFIX) { guest } else { folder.join(guest).display().to_string() };
    Ok(DeploymentConfig { guest, models: grants, limits: deployment.limits })
}

fn checked_name(name: Spanned<String>) -> Result<String, Problem> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text = name.get_ref();
    if text.is_empty() || text.len() > NAME_LIMIT_CHARS || !text.chars().all(is_valid) {
        let message = format!("`{text}` is no name; use 1 to {NAME_LIMIT_CHARS} of a-z, A-Z, 0-9, `-`, `_` and `.`");
        return Err(Problem { span: name.span(), message });
    }
    Ok(name.into_inner())
}

/// A source that looks like a path is one, relative to the configuration; anything else is a name.
fn resolve(source: &str, folder: &Path) -> String {
    if source.contains(['/', '\\']) || source == "." {
        folder.join(source).display().to_string()
    } else {
        source.to_owned()
    }
}

#[derive(Serialize)]
struct Printed<'a> {
    server: PrintedServer<'a>,
    models: BTreeMap<&'a str, PrintedModel<'a>>,
    deployments: BTreeMap<&'a str, PrintedDeployment<'a>>,
}

#[derive(Serialize)]
struct PrintedServer<'a> {
    grpc: String,
    limits: &'a RequestLimits,
}

#[derive(Serialize)]
struct PrintedModel<'a> {
    source: &'a str,
    placement: &'a [Placement],
    precision: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_shapes: Vec<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PrintedDeployment<'a> {
    guest: &'a str,
    models: &'a BTreeMap<String, String>,
    limits: &'a GuestLimits,
}

/// The whole configuration, defaults included.
pub(super) fn print(config: &Config) -> String {
    let server = PrintedServer { grpc: config.server.grpc.to_string(), limits: &config.server.limits };
    let models = config
        .models
        .iter()
        .map(|(name, model)| {
            let ModelConfig { source, placement, precision, static_shapes, memory_bytes } = model;
            let printed = PrintedModel {
                source,
                placement,
                precision: precision.name(),
                static_shapes: static_shapes.iter().map(|shape| [shape.rows, shape.length]).collect(),
                memory_bytes: *memory_bytes,
            };
            (name.as_str(), printed)
        })
        .collect();
    let deployments = config
        .deployments
        .iter()
        .map(|(name, deployment)| {
            let DeploymentConfig { guest, models, limits } = deployment;
            (name.as_str(), PrintedDeployment { guest, models, limits })
        })
        .collect();
    // Numbers, texts and tables of them: nothing in here that TOML cannot say.
    toml::to_string(&Printed { server, models, deployments }).unwrap_or_else(|error| format!("# {error}\n"))
}
