//! Folders of the control groups that a process is in, from what `/proc/PID/cgroup` says.

use std::path::{Path, PathBuf};

/// The text that the other functions read; empty when the process is gone.
pub(super) fn of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

/// The folder of one controller of version 1, which may share its hierarchy with others (`3:cpu,cpuacct:/path`).
pub(super) fn v1_folder(cgroups: &str, controller: &str) -> Option<PathBuf> {
    cgroups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_there = controllers.split(',').any(|name| name == controller);
        is_there.then(|| below(&Path::new("/sys/fs/cgroup").join(controller), path))
    })
}

/// The folder of version 2 (`0::/path`).
pub(super) fn v2_folder(cgroups: &str) -> Option<PathBuf> {
    cgroups.lines().find_map(|line| Some(below(Path::new("/sys/fs/cgroup"), line.strip_prefix("0::")?)))
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_with_and_without_company() {
        let expected = Some(PathBuf::from("/sys/fs/cgroup/cpuacct/pod/c"));
        assert_eq!(v1_folder("3:cpu,cpuacct:/pod/c\n", "cpuacct"), expected);
        assert_eq!(v1_folder("3:cpu:/x\n4:cpuacct:/pod/c\n", "cpuacct"), expected);
        assert_eq!(v1_folder("0::/pod/c\n", "cpuacct"), None);
    }
}
