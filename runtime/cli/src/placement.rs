//! Flags that say where models run, put over a configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use wisp_core::{BackendId, Device, Placement};
use wisp_engine::{Config, PrecisionChoice};
use wisp_model_store::Store;

use crate::registries::RegistryFlags;

/// Where and how models run.
#[derive(Args, Default)]
pub(crate) struct PlacementOptions {
    /// Use only this backend: openvino, ort, candle.
    #[arg(long, env = "WISP_BACKEND", value_name = "BACKEND")]
    pub(crate) backend: Option<BackendId>,
    /// Use only this device: cpu, gpu:N, npu, hetero:DEVICE,DEVICE, auto:DEVICE,DEVICE.
    #[arg(long, env = "WISP_DEVICE", value_name = "DEVICE")]
    pub(crate) device: Option<Device>,
    /// Arithmetic: auto, f32, f16, bf16, int8. What is not proven is an error.
    #[arg(long, env = "WISP_PRECISION", value_name = "PRECISION")]
    pub(crate) precision: Option<PrecisionChoice>,
}

/// Where the configuration comes from.
#[derive(Args)]
pub(crate) struct ConfigOptions {
    /// Configuration file; without one, the built-in embedder on all-minilm-l6-v2.
    #[arg(long, env = "WISP_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registries: RegistryFlags,
}

impl ConfigOptions {
    /// The configuration of the file, or the default, with the artifacts that it names in the cache.
    pub(crate) fn read_and_fetch(&self, store: &Store) -> anyhow::Result<Config> {
        let config = self.read()?;
        self.registries.fetch_blocking(&config, store)?;
        Ok(config)
    }

    /// The configuration of the file, or the default.
    pub(crate) fn read(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(path) => read(path),
            None => Ok(Config::default()),
        }
    }
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Config> {
    Config::read(path).context("configuration")
}

impl PlacementOptions {
    /// Restricts every model of the configuration to what the flags name.
    pub(crate) fn apply(&self, config: &mut Config) {
        for model in config.models.values_mut() {
            model.placement = self.placements(&model.placement);
            model.precision = self.precision.unwrap_or(model.precision);
        }
    }

    /// The placements of `configured` as the flags restrict or replace them: a flag is explicit, so it never falls back.
    pub(crate) fn placements(&self, configured: &[Placement]) -> Vec<Placement> {
        match (self.backend, self.device) {
            (None, None) => configured.to_vec(),
            (Some(backend), device) => vec![Placement { backend, device: device.unwrap_or(Device::Cpu) }],
            (None, Some(device)) => {
                let mut placements = Vec::new();
                for placement in configured.iter().map(|placement| Placement { device, ..*placement }) {
                    if !placements.contains(&placement) {
                        placements.push(placement);
                    }
                }
                placements
            }
        }
    }
}
