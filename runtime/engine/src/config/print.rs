//! A configuration as the text of a `wisp.toml`, with every default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wisp_core::{Device, Placement};

use super::{
    AuthConfig, BatchingConfig, Config, DeploymentConfig, DeviceConfig, DrainConfig, GuestLimits, InstancesChoice,
    LoadChoice, ModelConfig, ModelGrantConfig, RequestLimits, Scope, SessionsChoice, TelemetryConfig, TenantConfig,
    TlsConfig,
};

#[derive(Serialize)]
struct Printed<'a> {
    server: PrintedServer<'a>,
    models: BTreeMap<&'a str, PrintedModel<'a>>,
    deployments: BTreeMap<&'a str, PrintedDeployment<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<String, PrintedDevice>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tenants: BTreeMap<&'a str, PrintedTenant<'a>>,
    telemetry: &'a TelemetryConfig,
}

#[derive(Serialize)]
struct PrintedTenant<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sans: &'a [String],
    scopes: &'a [Scope],
    share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inflight_requests: Option<u32>,
}

#[derive(Serialize)]
struct PrintedDevice {
    memory_bytes: u64,
}

#[derive(Serialize)]
struct PrintedServer<'a> {
    grpc: String,
    http: String,
    admin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a TlsConfig>,
    auth: AuthConfig,
    drain: DrainConfig,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cors_origins: &'a [String],
    bare_models: bool,
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
    sessions: SessionsChoice,
    load: LoadChoice,
    #[serde(skip_serializing_if = "Option::is_none")]
    unload_after_ms: Option<u64>,
    batching: &'a BatchingConfig,
}

#[derive(Serialize)]
struct PrintedDeployment<'a> {
    guest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a Path>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    signed_by: &'a [PathBuf],
    instances: InstancesChoice,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    models: &'a BTreeMap<String, ModelGrantConfig>,
    limits: &'a GuestLimits,
    grants: PrintedGrants,
}

#[derive(Serialize)]
struct PrintedGrants {
    dirs: Vec<String>,
    env: Vec<String>,
    http: Vec<String>,
    load: Vec<String>,
}

impl<'a> PrintedModel<'a> {
    fn of(model: &'a ModelConfig) -> Self {
        let ModelConfig { source, placement, precision, static_shapes, memory_bytes, sessions, .. } = model;
        Self {
            source,
            placement,
            precision: precision.name(),
            static_shapes: static_shapes.iter().map(|shape| [shape.rows, shape.length]).collect(),
            memory_bytes: *memory_bytes,
            sessions: *sessions,
            load: model.load,
            unload_after_ms: model.unload_after_ms,
            batching: &model.batching,
        }
    }
}

impl<'a> PrintedDeployment<'a> {
    fn of(deployment: &'a DeploymentConfig) -> Self {
        let DeploymentConfig { guest, trust, models, limits, grants, instances, route } = deployment;
        Self {
            guest,
            digest: trust.digest.as_deref(),
            signature: trust.signature.as_deref(),
            signed_by: &trust.signed_by,
            instances: *instances,
            route: route.as_deref(),
            models,
            limits,
            grants: PrintedGrants {
                dirs: texts(&grants.dirs),
                env: texts(&grants.env),
                http: texts(&grants.http),
                load: texts(&grants.load),
            },
        }
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// The whole configuration, defaults included.
pub(super) fn print(config: &Config) -> String {
    let listener = |address: Option<SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
    let server = PrintedServer {
        grpc: config.server.grpc.to_string(),
        http: listener(config.server.http),
        admin: listener(config.server.admin),
        tls: config.server.tls.as_ref(),
        auth: config.server.auth,
        drain: config.server.drain,
        cors_origins: &config.server.cors_origins,
        bare_models: config.server.bare_models,
        limits: &config.server.limits,
    };
    let models = config.models.iter().map(|(name, model)| (name.as_str(), PrintedModel::of(model))).collect();
    let deployments = config
        .deployments
        .iter()
        .map(|(name, deployment)| (name.as_str(), PrintedDeployment::of(deployment)))
        .collect();
    let printed = |(device, config): (&Device, &DeviceConfig)| {
        (device.to_string(), PrintedDevice { memory_bytes: config.memory_bytes })
    };
    let devices = config.devices.iter().map(printed).collect();
    let tenants = config.tenants.iter().map(|(name, tenant)| {
        let TenantConfig { token_file, sans, scopes, share, inflight_requests } = tenant;
        let (token_file, share, inflight_requests) = (token_file.as_deref(), *share, *inflight_requests);
        (name.as_str(), PrintedTenant { token_file, sans, scopes, share, inflight_requests })
    });
    let tenants = tenants.collect();
    // Numbers, texts and tables of them: nothing in here that TOML cannot say.
    toml::to_string(&Printed { server, models, deployments, devices, tenants, telemetry: &config.telemetry })
        .unwrap_or_else(|error| format!("# {error}\n"))
}
