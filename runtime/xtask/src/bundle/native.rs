//! Which files of a backend's library a bundle carries.

use std::path::Path;

use anyhow::{Context, Result};

use super::contents::Contents;

/// What only Intel's GPUs and NPUs need, and combinations of devices.
const INTEL_DEVICES: [&str; 6] = [
    "libopenvino_intel_gpu_plugin.so",
    "libopenvino_intel_npu_plugin.so",
    "libopenvino_auto_plugin.so",
    "libopenvino_auto_batch_plugin.so",
    "libopenvino_hetero_plugin.so",
    // Tuning tables of the GPU plugin.
    "cache.json",
];

/// The part that those are.
const INTEL_PART: &str = "OpenVINO: Intel devices";

/// What the machine brings with a device: the loader of OpenCL, of Level Zero, and NVIDIA's driver.
const WITH_A_DEVICE: [&str; 4] = ["libOpenCL.so", "libze_loader.so", "libcuda.so", "libnvidia-"];

/// Adds the files of a library's folder; licences go where licences are.
pub(super) fn add(
    contents: &mut Contents,
    source: &Path,
    folder: &str,
    part: &'static str,
    with_intel_devices: bool,
) -> Result<()> {
    let read = || format!("cannot read {}", source.display());
    for entry in std::fs::read_dir(source).with_context(read)? {
        let entry = entry.with_context(read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Stamps and locks of the cache.
        if name.starts_with('.') || !entry.file_type().with_context(read)?.is_file() {
            continue;
        }
        let is_for_devices = INTEL_DEVICES.contains(&name.as_str());
        if is_for_devices && !with_intel_devices {
            continue;
        }
        let part = if is_for_devices { INTEL_PART } else { part };
        match is_library(&name) {
            true => contents.add_program(&entry.path(), &format!("{folder}/{name}"), part)?,
            false if is_for_devices => contents.add_file(&entry.path(), &format!("{folder}/{name}"), part)?,
            false => {
                let place = source.file_name().unwrap_or_default().to_string_lossy();
                contents.add_file(&entry.path(), &format!("share/licenses/{place}/{name}"), super::licences::PART)?
            }
        };
    }
    Ok(())
}

/// Whether a library that is not here comes with the device that it is for.
pub(super) fn comes_with_a_device(name: &str) -> bool {
    WITH_A_DEVICE.iter().any(|known| name.starts_with(known))
}

fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_plugins_are_an_optional_part_and_licences_lie_apart() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let source = folder.path().join("openvino-1");
        std::fs::create_dir(&source).expect("new folder");
        for name in ["libopenvino.so.1", "libopenvino_intel_gpu_plugin.so", "cache.json", "LICENSE", ".lock"] {
            std::fs::write(source.join(name), name).expect("writable");
        }
        for (with_devices, plugin) in [(false, false), (true, true)] {
            let mut contents = Contents::begin(&folder.path().join("out")).expect("nothing is there");
            add(&mut contents, &source, "lib/openvino", "OpenVINO", with_devices).expect("added");
            assert!(contents.has("lib/openvino/libopenvino.so.1"));
            assert!(contents.has("share/licenses/openvino-1/LICENSE"));
            assert!(!contents.has("lib/openvino/.lock"));
            for name in ["libopenvino_intel_gpu_plugin.so", "cache.json"] {
                assert_eq!(contents.has(&format!("lib/openvino/{name}")), plugin, "{name}");
            }
        }
    }

    #[test]
    fn drivers_come_with_their_device() {
        assert!(comes_with_a_device("libOpenCL.so.1") && comes_with_a_device("libcuda.so.1"));
        assert!(!comes_with_a_device("libstdc++.so.6"));
    }
}
