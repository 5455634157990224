//! Devices made of devices, as OpenVINO's `HETERO` and `AUTO` are.

use super::Device;

/// The most devices that one combination holds.
pub const COMBINED_LIMIT: usize = 4;

/// How the devices of a combination share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Combination {
    /// Each operator runs on the first device that has it: `hetero`.
    Hetero,
    /// The whole model runs on the first device that can load it: `auto`.
    Auto,
}

/// Several devices in order of preference, written `hetero:gpu:0,cpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CombinedDevice {
    combination: Combination,
    members: [Option<Member>; COMBINED_LIMIT],
}

/// A device that is no combination; a type of its own, because a combination of combinations has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Member {
    Cpu,
    Gpu(u32),
    Npu,
}

impl CombinedDevice {
    /// Reads `hetero:…` or `auto:…` with two to [`COMBINED_LIMIT`] different devices.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (combination, list) = match text.split_once(':')? {
            ("hetero", list) => (Combination::Hetero, list),
            ("auto", list) => (Combination::Auto, list),
            _ => return None,
        };
        let mut members = [None; COMBINED_LIMIT];
        let mut count = 0;
        for name in list.split(',') {
            let member = Some(Member::of(name.parse().ok()?)?);
            if members.contains(&member) {
                return None;
            }
            *members.get_mut(count)? = member;
            count += 1;
        }
        (count >= 2).then_some(Self { combination, members })
    }

    /// How the devices share the work.
    #[must_use]
    pub fn combination(self) -> Combination {
        self.combination
    }

    /// The devices in order of preference; none of them is a combination.
    pub fn devices(self) -> impl Iterator<Item = Device> {
        self.members.into_iter().flatten().map(Member::device)
    }
}

impl Member {
    fn of(device: Device) -> Option<Self> {
        match device {
            Device::Cpu => Some(Self::Cpu),
            Device::Gpu(index) => Some(Self::Gpu(index)),
            Device::Npu => Some(Self::Npu),
            Device::Combined(_) => None,
        }
    }

    fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Gpu(index) => Device::Gpu(index),
            Self::Npu => Device::Npu,
        }
    }
}

impl std::fmt::Display for CombinedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.combination {
            Combination::Hetero => "hetero",
            Combination::Auto => "auto",
        };
        let devices: Vec<_> = self.devices().map(|device| device.to_string()).collect();
        write!(f, "{name}:{}", devices.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_lists_its_devices_in_order() {
        let combined = CombinedDevice::parse("hetero:gpu:1,npu,cpu").expect("three devices");
        assert_eq!(combined.combination(), Combination::Hetero);
        assert!(combined.devices().eq([Device::Gpu(1), Device::Npu, Device::Cpu]));
    }

    #[test]
    fn what_makes_no_sense_is_no_combination() {
        for text in [
            "hetero:",
            "hetero:cpu",
            "auto:cpu,cpu",
            "auto:tpu,cpu",
            "multi:gpu,cpu",
            "auto:hetero:gpu,cpu",
            "cpu,gpu:0",
        ] {
            assert_eq!(CombinedDevice::parse(text), None, "{text}");
        }
        assert_eq!(CombinedDevice::parse("auto:gpu:0,gpu:1,gpu:2,npu,cpu"), None, "five devices");
    }
}
