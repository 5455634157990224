//! Device nodes of accelerators that are there and cannot be opened: the driver says only that it found nothing.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use wisp_core::Device;

/// What is wrong with the nodes of a device, where there are any.
pub(super) fn closed(device: Device) -> Option<String> {
    let (folder, prefix) = match device {
        Device::Gpu(_) => ("/dev/dri", "renderD"),
        Device::Npu => ("/dev/accel", "accel"),
        Device::Cpu | Device::Combined(_) => return None,
    };
    closed_in(Path::new(folder), prefix)
}

fn closed_in(folder: &Path, prefix: &str) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut nodes: Vec<_> = entries.map(|entry| entry.path()).filter(is_ours).collect();
    nodes.sort_unstable();
    nodes.iter().find_map(|node| {
        let error = OpenOptions::new().read(true).write(true).open(node).err()?;
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => {
                "; let this user's groups open it (in a pod: securityContext.supplementalGroups with the node's group, \
                 or device_ownership_from_security_context of containerd)"
            }
            _ => "",
        };
        Some(format!("{}: {error}{remedy}", node.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_cannot_be_opened_is_named_with_the_reason() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert_eq!(closed_in(folder.path(), "accel"), None, "there is none");
        std::fs::write(folder.path().join("accel0"), "").expect("writable");
        assert_eq!(closed_in(folder.path(), "accel"), None, "it can be opened");
        // A folder cannot be opened for writing, by nobody.
        std::fs::create_dir(folder.path().join("accel1")).expect("new folder");
        let told = closed_in(folder.path(), "accel").expect("cannot be opened");
        assert!(told.starts_with(&folder.path().join("accel1").display().to_string()), "{told}");
    }
}
