//! Devices as OpenVINO names them, and what each of them can do.

use openvino::{Core, DeviceType, PropertyKey};
use wisp_core::{Combination, CombinedDevice, Device, DeviceReport, Precision};

use super::{nodes, processor};

/// OpenVINO's name of a device: `CPU`, `GPU.0`, `NPU`, `HETERO:GPU.0,CPU`.
pub(super) fn name(device: Device) -> String {
    match device {
        Device::Cpu => "CPU".to_owned(),
        Device::Gpu(index) => format!("GPU.{index}"),
        Device::Npu => "NPU".to_owned(),
        Device::Combined(combined) => combined_name(combined),
    }
}

fn combined_name(combined: CombinedDevice) -> String {
    let mode = match combined.combination() {
        Combination::Hetero => "HETERO",
        Combination::Auto => "AUTO",
    };
    format!("{mode}:{}", combined.devices().map(name).collect::<Vec<_>>().join(","))
}

/// The device of a name such as `GPU.1`; the only GPU of a machine is plain `GPU`.
pub(super) fn parse(name: &str) -> Option<Device> {
    // While AUTO still loads the device it prefers, it runs elsewhere and says so in brackets.
    let name = name.trim().trim_matches(['(', ')']);
    match name.split_once('.') {
        None if name == "CPU" => Some(Device::Cpu),
        None if name == "GPU" => Some(Device::Gpu(0)),
        None if name == "NPU" => Some(Device::Npu),
        Some(("GPU", index)) => index.parse().ok().map(Device::Gpu),
        Some(("NPU", _)) => Some(Device::Npu),
        _ => None,
    }
}

/// The devices that properties must be set on: those of a combination that are there, or the device itself.
pub(super) fn members(core: &Core, device: Device) -> Vec<Device> {
    match device {
        Device::Combined(combined) => {
            combined.devices().filter(|&member| report(core, member).missing.is_none()).collect()
        }
        single => vec![single],
    }
}

/// A row for each kind of device, and for each GPU that is there.
pub(super) fn reports(core: &Core) -> Vec<DeviceReport> {
    let mut found: Vec<Device> = match core.available_devices() {
        Ok(names) => names.iter().filter_map(|name| parse(name.as_ref())).collect(),
        Err(error) => return none_of_them(&super::message(&error)),
    };
    for kind in KINDS {
        if !found.iter().any(|device| std::mem::discriminant(device) == std::mem::discriminant(&kind)) {
            found.push(kind);
        }
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|device| report(core, device)).collect()
}

/// The rows when not even the library is there.
pub(super) fn none_of_them(reason: &str) -> Vec<DeviceReport> {
    KINDS.into_iter().map(|device| absent(device, reason)).collect()
}

/// The row of a device that cannot be used.
pub(super) fn absent(device: Device, reason: &str) -> DeviceReport {
    DeviceReport { device, name: None, missing: Some(reason.to_owned()), precisions: Vec::new() }
}

const KINDS: [Device; 3] = [Device::Cpu, Device::Gpu(0), Device::Npu];

/// The row of one device; a combination can do what all of its devices can. Of `AUTO`, those count that are there: it is a
/// list to choose from. `HETERO` needs them all.
pub(super) fn report(core: &Core, device: Device) -> DeviceReport {
    if let Device::Combined(combined) = device {
        let mut rows: Vec<_> = combined.devices().map(|member| report(core, member)).collect();
        if combined.combination() == Combination::Auto && rows.iter().any(|row| row.missing.is_none()) {
            rows.retain(|row| row.missing.is_none());
        }
        let mut precisions = Precision::ALL.to_vec();
        precisions.retain(|precision| rows.iter().all(|row| row.precisions.contains(precision)));
        let missing = rows.into_iter().find_map(|row| Some(format!("{}: {}", row.device, row.missing?)));
        return DeviceReport { device, name: None, missing, precisions };
    }
    let device_type = DeviceType::from(name(device).as_str()).to_owned();
    match core.get_property(&device_type, &PropertyKey::DeviceFullName) {
        Ok(full_name) => DeviceReport {
            device,
            name: Some(full_name.trim().to_owned()),
            missing: None,
            precisions: precisions(core, device),
        },
        Err(error) => {
            // A plugin that finds no device knows no property; that it says so helps nobody.
            let said =
                Some(super::message(&error)).filter(|message| !message.contains("Unsupported configuration key"));
            let said = said.map_or_else(String::new, |message| format!(" ({message})"));
            let closed = nodes::closed(device).map_or_else(String::new, |closed| format!("; {closed}"));
            let missing = Some(format!("{}{said}{closed}", what_it_needs(device)));
            DeviceReport { device, name: None, missing, precisions: Vec::new() }
        }
    }
}

/// What must be on the machine for a device to be found.
fn what_it_needs(device: Device) -> &'static str {
    match device {
        Device::Gpu(_) => {
            "no Intel GPU was found; it needs /dev/dri/renderD*, libOpenCL.so.1 and Intel's compute runtime (intel-opencl-icd)"
        }
        Device::Npu => "no Intel NPU was found; it needs /dev/accel/accel*, libze_loader.so.1 and Intel's NPU driver",
        Device::Cpu | Device::Combined(_) => "the plugin of this device does not load",
    }
}

/// The precisions that the device computes in natively, reference first. Int8 means quantised weights, which all of them take.
pub(super) fn precisions(core: &Core, device: Device) -> Vec<Precision> {
    let device_type = DeviceType::from(name(device).as_str()).to_owned();
    let capabilities = core.get_property(&device_type, &PropertyKey::DeviceCapabilities).unwrap_or_default();
    let has = |wanted: &str| capabilities.split_whitespace().any(|capability| capability == wanted);
    Precision::ALL
        .into_iter()
        .filter(|precision| match precision {
            Precision::F32 => has("FP32"),
            Precision::F16 => has("FP16"),
            Precision::Bf16 => has("BF16") && (device != Device::Cpu || processor::has_bf16()),
            Precision::Int8 => has("INT8"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_openvino_does() {
        for (text, expected) in [
            ("cpu", "CPU"),
            ("gpu:1", "GPU.1"),
            ("npu", "NPU"),
            ("hetero:gpu:0,cpu", "HETERO:GPU.0,CPU"),
            ("auto:npu,cpu", "AUTO:NPU,CPU"),
        ] {
            assert_eq!(name(text.parse().expect(text)), expected);
        }
    }

    #[test]
    fn names_of_openvino_are_devices() {
        for (text, expected) in [
            ("CPU", Some(Device::Cpu)),
            ("(CPU)", Some(Device::Cpu)),
            ("GPU", Some(Device::Gpu(0))),
            ("GPU.2", Some(Device::Gpu(2))),
            ("NPU.3720", Some(Device::Npu)),
            ("GNA", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
