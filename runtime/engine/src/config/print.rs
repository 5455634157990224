//! A configuration as the text of a `wisp.toml`, with every default.

use std::collections::BTreeMap;

use serde::Serialize;
use wisp_core::{Device, Placement};

use super::{Config, DeploymentConfig, DeviceConfig, GuestLimits, ModelConfig, RequestLimits};

#[derive(Serialize)]
struct Printed<'a> {
    server: PrintedServer<'a>,
    models: BTreeMap<&'a str, PrintedModel<'a>>,
    deployments: BTreeMap<&'a str, PrintedDeployment<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<String, PrintedDevice>,
}

#[derive(Serialize)]
struct PrintedDevice {
    memory_bytes: u64,
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
    let printed = |(device, config): (&Device, &DeviceConfig)| {
        (device.to_string(), PrintedDevice { memory_bytes: config.memory_bytes })
    };
    let devices = config.devices.iter().map(printed).collect();
    // Numbers, texts and tables of them: nothing in here that TOML cannot say.
    toml::to_string(&Printed { server, models, deployments, devices }).unwrap_or_else(|error| format!("# {error}\n"))
}
