//! What is left of a device's memory while models are placed on it.

use std::collections::BTreeMap;

use wisp_core::{Device, Placement};
use wisp_model_store::Manifest;

use crate::config::{DeviceConfig, LoadChoice};

/// Bytes that are left on each device that has a bound.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    left_bytes: BTreeMap<Device, u64>,
}

/// What counts as taken by a model: its own bound, or its file if that is larger.
pub(super) fn taken_bytes(file_bytes: u64, own_bytes: Option<u64>) -> u64 {
    own_bytes.map_or(file_bytes, |own| own.max(file_bytes))
}

impl Budget {
    pub(crate) fn of(devices: &BTreeMap<Device, DeviceConfig>) -> Self {
        Self { left_bytes: devices.iter().map(|(device, config)| (*device, config.memory_bytes)).collect() }
    }

    /// What a model may take on this placement: its own bound, and what is left. `None` for as much as it needs.
    ///
    /// # Errors
    /// When not even the smallest file of the model fits.
    pub(super) fn limit(
        &self,
        manifest: &Manifest,
        placement: Placement,
        own_bytes: Option<u64>,
    ) -> Result<Option<u64>, String> {
        let Some(&left) = self.left_bytes.get(&placement.device) else { return Ok(own_bytes) };
        let files = manifest.model_files().filter(|file| file.backends.contains(&placement.backend));
        let smallest = files.map(|file| file.size_bytes).min().unwrap_or(0);
        if smallest > left {
            return Err(format!(
                "device `{}` has {left} bytes left and the smallest file of the model has {smallest}; raise memory_bytes \
                 under [devices.\"{}\"]",
                placement.device, placement.device
            ));
        }
        Ok(Some(own_bytes.map_or(left, |own| own.min(left))))
    }

    /// Notes what a model takes for good: what it was promised by its own bound, or at least its file. One on demand takes turns
    /// with others in what those leave.
    ///
    /// # Errors
    /// When the file that was chosen does not fit.
    pub(super) fn take(
        &mut self,
        device: Device,
        file_bytes: u64,
        own_bytes: Option<u64>,
        load: LoadChoice,
    ) -> Result<(), String> {
        let Some(left) = self.left_bytes.get_mut(&device) else { return Ok(()) };
        if file_bytes > *left {
            return Err(format!(
                "device `{device}` has {left} bytes left and the file of the model has {file_bytes}; raise memory_bytes under \
                 [devices.\"{device}\"]"
            ));
        }
        if load == LoadChoice::Start {
            *left = left.saturating_sub(taken_bytes(file_bytes, own_bytes));
        }
        Ok(())
    }

    /// What is left for the models on demand of this device; `None` for as much as they need.
    pub(super) fn left(&self, device: Device) -> Option<u64> {
        self.left_bytes.get(&device).copied()
    }
}
