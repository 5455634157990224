//! The text of `wisp.toml`, to a checked configuration.

mod access;
mod deployment;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use wisp_core::{Device, Placement, PlacementError, StaticShape};
use wisp_model_store::PinnedArtifact;

use super::base::Base;
use super::{
    AuthConfig, BatchingConfig, Config, DeviceConfig, DrainConfig, LoadChoice, ModelConfig, RequestLimits,
    ServerConfig, SessionsChoice, TelemetryConfig, bounds, suggest,
};
use access::{TenantTable, TlsTable};
use deployment::Deployment;

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
    #[serde(default)]
    devices: BTreeMap<Spanned<String>, DeviceTable>,
    #[serde(default)]
    tenants: BTreeMap<Spanned<String>, Spanned<TenantTable>>,
    telemetry: Option<Spanned<TelemetryConfig>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTable {
    memory_bytes: Spanned<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    grpc: Option<Spanned<String>>,
    /// An address, or `"off"`.
    http: Option<Spanned<String>>,
    /// An address, or `"off"`.
    admin: Option<Spanned<String>>,
    tls: Option<TlsTable>,
    auth: Option<AuthConfig>,
    drain: Option<Spanned<DrainConfig>>,
    #[serde(default)]
    cors_origins: Vec<Spanned<String>>,
    bare_models: Option<bool>,
    limits: Option<Spanned<RequestLimits>>,
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
    memory_bytes: Option<Spanned<u64>>,
    sessions: Option<Spanned<SessionsChoice>>,
    #[serde(default)]
    load: LoadChoice,
    unload_after_ms: Option<Spanned<u64>>,
    batching: Option<Spanned<BatchingConfig>>,
}

/// A problem at a place in the text.
struct Problem {
    span: Range<usize>,
    message: String,
}

/// Reads and checks. Every line of the error is one mistake and starts with file, line and column.
///
/// `base` says what holds where the text says nothing.
pub(super) fn parse(text: &str, origin: &Path, base: &Base<'_>) -> Result<Config, String> {
    let located = |problem: Problem| {
        let (line, column) = position(text.as_bytes(), problem.span.start);
        format!("{}:{line}:{column}: {}", origin.display(), problem.message)
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        located(Problem { span, message: suggest::with_suggestion(error.message()) })
    })?;
    let folder = origin.parent().unwrap_or(Path::new("."));
    let mut checker = Checker { folder, base, problems: Vec::new() };
    let config = checker.check(file);
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| problem.span.start);
    if problems.is_empty() {
        return Ok(config);
    }
    Err(problems.into_iter().map(located).collect::<Vec<_>>().join("\n"))
}

/// Line and column of a byte, both from 1.
pub(super) fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

/// Checks everything, and notes what is wrong instead of ending at the first mistake.
struct Checker<'a> {
    folder: &'a Path,
    base: &'a Base<'a>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn check(&mut self, file: File) -> Config {
        let server = self.server(file.server);
        let has_client_ca = server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let mut models = BTreeMap::new();
        for (name, model) in file.models {
            let model = self.model(&name, model);
            let name = self.name(name);
            models.insert(name, model);
        }
        let is_default = models.is_empty();
        let mut models = if is_default { self.base.models.clone() } else { models };
        let mut deployments = BTreeMap::new();
        for (name, deployment) in file.deployments {
            let deployment = self.deployment(&name, deployment, &models);
            let name = self.name(name);
            deployments.insert(name, deployment);
        }
        if deployments.is_empty() {
            deployments = (self.base.deployments)(&models);
        } else if is_default {
            // Nobody asked for them: an application without a model does not wait for one.
            models.retain(|name, _| {
                deployments.values().flat_map(|d| d.models.values()).any(|grant| grant.model == *name)
            });
        }
        // A model that is wrong is told already, and may be the one that the built-in deployment lacks.
        let is_reached = !deployments.is_empty() || server.bare_models || models.is_empty();
        if !is_reached && self.problems.is_empty() {
            let message = "no deployment is configured, and server.bare_models is off; add [deployments.NAME] with guest and models";
            self.note(0..0, message.to_owned());
        }
        let devices = file.devices.into_iter().filter_map(|(name, device)| self.device(&name, &device)).collect();
        let tenants = self.tenants(file.tenants, has_client_ca);
        let telemetry = file.telemetry.map(|table| self.telemetry(table)).unwrap_or_default();
        Config { server, models, deployments, devices, tenants, telemetry }
    }

    fn telemetry(&mut self, table: Spanned<TelemetryConfig>) -> TelemetryConfig {
        let span = table.span();
        let telemetry = table.into_inner().relative_to(self.folder);
        telemetry.wrong().into_iter().for_each(|message| self.note(span.clone(), message));
        telemetry
    }

    fn device(&mut self, name: &Spanned<String>, table: &DeviceTable) -> Option<(Device, DeviceConfig)> {
        let memory_bytes = *table.memory_bytes.get_ref();
        if memory_bytes == 0 {
            let message = "memory_bytes must be at least 1; leave the table out for no bound".to_owned();
            self.note(table.memory_bytes.span(), message);
        }
        match name.get_ref().parse() {
            Ok(device) => Some((device, DeviceConfig { memory_bytes })),
            Err(error) => {
                let error: PlacementError = error;
                self.note(name.span(), error.to_string());
                None
            }
        }
    }

    fn note(&mut self, span: Range<usize>, message: String) {
        self.problems.push(Problem { span, message });
    }

    /// The value, or `fallback` in its place when it is wrong: the configuration is then never used.
    fn keep<T>(&mut self, result: Result<T, Problem>, fallback: T) -> T {
        result.unwrap_or_else(|problem| {
            self.problems.push(problem);
            fallback
        })
    }

    fn server(&mut self, server: Server) -> ServerConfig {
        let defaults = self.base.server.clone();
        let grpc = server.grpc.map_or(Ok(defaults.grpc), |text| address(&text, "127.0.0.1:50051"));
        let listener = |text: Option<Spanned<String>>, default, example| {
            text.map_or(Ok(default), |text| match text.get_ref().as_str() {
                "off" => Ok(None),
                _ => address(&text, example).map(Some),
            })
        };
        let http = listener(server.http, defaults.http, "127.0.0.1:8080, or off");
        let admin = listener(server.admin, defaults.admin, "127.0.0.1:9090, or off");
        let tls = server.tls.map(|table| self.tls(table)).or(defaults.tls);
        let drain = match server.drain {
            Some(drain) => {
                bounds::drain(drain.get_ref()).into_iter().for_each(|message| self.note(drain.span(), message));
                drain.into_inner()
            }
            None => defaults.drain,
        };
        let limits = match server.limits {
            Some(limits) => {
                bounds::server(limits.get_ref()).into_iter().for_each(|message| self.note(limits.span(), message));
                limits.into_inner()
            }
            None => defaults.limits,
        };
        let origins = server.cors_origins.into_iter().map(check_origin);
        let cors_origins = origins.filter_map(|origin| self.keep(origin.map(Some), None)).collect();
        ServerConfig {
            cors_origins,
            grpc: self.keep(grpc, defaults.grpc),
            http: self.keep(http, defaults.http),
            admin: self.keep(admin, defaults.admin),
            tls,
            auth: server.auth.unwrap_or(defaults.auth),
            drain,
            bare_models: server.bare_models.unwrap_or(defaults.bare_models),
            limits,
        }
    }

    fn model(&mut self, name: &Spanned<String>, model: Model) -> ModelConfig {
        let defaults = ModelConfig::default();
        let source = match model.source {
            Some(source) => {
                if source.get_ref().is_empty() {
                    self.note(source.span(), "source is empty; name a model, or a folder with a model.toml".to_owned());
                }
                if let Some(Err(error)) = PinnedArtifact::parse(source.get_ref()) {
                    self.note(source.span(), error.to_string());
                }
                resolve(source.get_ref(), self.folder)
            }
            None => name.get_ref().clone(),
        };
        let placement = match model.placement {
            Some(list) => {
                if list.get_ref().is_empty() {
                    let message = "placement is empty; list at least one backend:device, such as \"ort:cpu\"";
                    self.note(list.span(), message.to_owned());
                }
                let checked = list.into_inner().into_iter().map(check_placement);
                checked.filter_map(|placement| self.keep(placement.map(Some), None)).collect()
            }
            None => defaults.placement,
        };
        let precision = model.precision.map_or(Ok(defaults.precision), |text| {
            text.get_ref().parse().map_err(|error: wisp_core::PrecisionError| Problem {
                span: text.span(),
                message: format!("{error}, or auto"),
            })
        });
        let precision = self.keep(precision, defaults.precision);
        let shapes = model.static_shapes.into_iter().map(check_shape);
        let static_shapes = shapes.filter_map(|shape| self.keep(shape.map(Some), None)).collect();
        if let Some(memory_bytes) = model.memory_bytes.as_ref().filter(|bytes| *bytes.get_ref() == 0) {
            let message = format!("models.{}.memory_bytes is 0; leave it out for no limit", name.get_ref());
            self.note(memory_bytes.span(), message);
        }
        let memory_bytes = model.memory_bytes.map(Spanned::into_inner);
        if let Some(unload_after_ms) = &model.unload_after_ms
            && let Some(message) = bounds::unloading(name.get_ref(), model.load, *unload_after_ms.get_ref())
        {
            self.note(unload_after_ms.span(), message);
        }
        let unload_after_ms = model.unload_after_ms.map(Spanned::into_inner);
        let (sessions, batching) = self.sharing(name, model.sessions, model.batching);
        ModelConfig {
            source,
            placement,
            precision,
            static_shapes,
            memory_bytes,
            sessions,
            load: model.load,
            unload_after_ms,
            batching,
        }
    }

    /// Sessions of a model, and how requests share their inferences.
    fn sharing(
        &mut self,
        name: &Spanned<String>,
        sessions: Option<Spanned<SessionsChoice>>,
        batching: Option<Spanned<BatchingConfig>>,
    ) -> (SessionsChoice, BatchingConfig) {
        let defaults = ModelConfig::default();
        if let Some(sessions) = &sessions
            && let SessionsChoice::Exactly(count) = *sessions.get_ref()
            && let Some(message) = bounds::sessions(name.get_ref(), count)
        {
            self.note(sessions.span(), message);
        }
        if let Some(batching) = &batching {
            let wrong = bounds::batching(name.get_ref(), batching.get_ref());
            wrong.into_iter().for_each(|message| self.note(batching.span(), message));
        }
        (
            sessions.map_or(defaults.sessions, Spanned::into_inner),
            batching.map_or(defaults.batching, Spanned::into_inner),
        )
    }

    fn name(&mut self, name: Spanned<String>) -> String {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let text = name.get_ref();
        if text.is_empty() || text.len() > NAME_LIMIT_CHARS || !text.chars().all(is_valid) {
            let message =
                format!("`{text}` is no name; use 1 to {NAME_LIMIT_CHARS} of a-z, A-Z, 0-9, `-`, `_` and `.`");
            self.note(name.span(), message);
        }
        name.into_inner()
    }
}

fn address(text: &Spanned<String>, example: &str) -> Result<SocketAddr, Problem> {
    text.get_ref().parse().map_err(|_| Problem {
        span: text.span(),
        message: format!("`{}` is not an address; write IP:PORT, such as {example}", text.get_ref()),
    })
}

/// What a browser sends as `Origin`. Source: RFC 6454, section 6.2.
fn check_origin(text: Spanned<String>) -> Result<String, Problem> {
    let is_origin = |uri: &http::Uri| {
        let has_path = uri.path() != "/" || text.get_ref().ends_with('/') || uri.query().is_some();
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !has_path
    };
    if text.get_ref() == "*" || text.get_ref().parse().is_ok_and(|uri| is_origin(&uri)) {
        return Ok(text.into_inner());
    }
    let message = format!(
        "`{}` is no origin; write scheme://HOST or scheme://HOST:PORT, such as https://app.example, or *",
        text.get_ref()
    );
    Err(Problem { span: text.span(), message })
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

/// A source that looks like a path is one, relative to the configuration; anything else is a name or an artifact.
fn resolve(source: &str, folder: &Path) -> String {
    let is_artifact = source.starts_with(PinnedArtifact::PREFIX);
    if !is_artifact && source.contains(['/', '\\']) || source == "." {
        folder.join(source).display().to_string()
    } else {
        source.to_owned()
    }
}
