//! Where a model runs: a backend and a device, written `backend:device`.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod combined;

pub use combined::{COMBINED_LIMIT, Combination, CombinedDevice};

/// A device a backend can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// The processor: `cpu`.
    Cpu,
    /// A graphics processor by index: `gpu:0`.
    Gpu(u32),
    /// A neural processing unit: `npu`.
    Npu,
    /// Several devices that the backend's library combines: `hetero:gpu:0,cpu` or `auto:npu,cpu`. Only OpenVINO has them,
    /// and only an explicit placement names them.
    Combined(CombinedDevice),
}

/// The backends Wisp knows by name. Whether one is compiled in, and whether its library is there, is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackendId {
    /// OpenVINO: `openvino`.
    OpenVino,
    /// ONNX Runtime: `ort`.
    Ort,
    /// Candle: `candle`.
    Candle,
}

impl BackendId {
    /// Every backend, in the order in which reports list them.
    pub const ALL: [Self; 3] = [Self::OpenVino, Self::Ort, Self::Candle];

    /// The id used in configuration, metrics and responses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenVino => "openvino",
            Self::Ort => "ort",
            Self::Candle => "candle",
        }
    }
}

/// A backend on a device, written `ort:cpu` or `ort:gpu:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placement {
    /// What runs the model.
    pub backend: BackendId,
    /// Where it runs.
    pub device: Device,
}

/// A text that names no backend, device or placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// No such backend.
    #[error("unknown backend `{0}`; one of openvino, ort, candle")]
    Backend(String),
    /// No such device.
    #[error("unknown device `{0}`; one of cpu, gpu:N, npu, hetero:DEVICE,DEVICE, auto:DEVICE,DEVICE")]
    Device(String),
    /// No colon between backend and device.
    #[error("`{0}` is not a placement; write backend:device, such as ort:cpu")]
    Form(String),
}

impl FromStr for Device {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "npu" => Ok(Self::Npu),
            "gpu" => Ok(Self::Gpu(0)),
            _ => name
                .strip_prefix("gpu:")
                .and_then(|index| index.parse().ok())
                .map(Self::Gpu)
                .or_else(|| CombinedDevice::parse(name).map(Self::Combined))
                .ok_or_else(|| PlacementError::Device(name.to_owned())),
        }
    }
}

impl FromStr for BackendId {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or_else(|| PlacementError::Backend(name.to_owned()))
    }
}

impl FromStr for Placement {
    type Err = PlacementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (backend, device) = text.split_once(':').ok_or_else(|| PlacementError::Form(text.to_owned()))?;
        Ok(Self { backend: backend.parse()?, device: device.parse()? })
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
            Self::Npu => f.write_str("npu"),
            Self::Combined(combined) => combined.fmt(f),
        }
    }
}

impl std::fmt::Display for BackendId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.backend, self.device)
    }
}

macro_rules! serde_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Device, BackendId, Placement);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_read_back_as_written() {
        for text in [
            "ort:cpu",
            "ort:gpu:0",
            "ort:gpu:3",
            "candle:cpu",
            "openvino:npu",
            "openvino:hetero:gpu:1,cpu",
            "openvino:auto:npu,gpu:0,cpu",
        ] {
            assert_eq!(text.parse::<Placement>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn bad_placements_name_the_wrong_part() {
        for (text, message) in [
            ("cpu", "`cpu` is not a placement; write backend:device, such as ort:cpu"),
            ("tpu:cpu", "unknown backend `tpu`; one of openvino, ort, candle"),
            ("ort:gpu:x", "unknown device `gpu:x`; one of cpu, gpu:N, npu, hetero:DEVICE,DEVICE, auto:DEVICE,DEVICE"),
            ("ort:", "unknown device ``; one of cpu, gpu:N, npu, hetero:DEVICE,DEVICE, auto:DEVICE,DEVICE"),
        ] {
            assert_eq!(text.parse::<Placement>().expect_err(text).to_string(), message);
        }
    }
}
