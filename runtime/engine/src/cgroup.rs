//! The memory that the control group grants to this process, as it is seen from inside a container.
//!
//! Sources: cgroups(7), the kernel's `cgroup-v1/memory.txt` and `cgroup-v2.rst`. In a container the group's folder is
//! mounted as the root of what is visible, by a bind mount (version 1) or by a namespace (version 2); both are met by taking
//! the mount's root off the path of the group. (The quota of processors is the standard library's to find:
//! `available_parallelism` does.)

use std::path::{Path, PathBuf};

/// Version 1 says this, rounded to pages, where there is no limit.
const UNLIMITED_BYTES: u64 = i64::MAX as u64 >> 12 << 12;

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The folder of the hierarchy that is mounted.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
    is_version_2: bool,
}

/// Bytes of memory that this process and its like may use together; `None` without a limit, or where nothing tells.
pub(crate) fn memory_limit_bytes() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    limit(&groups, &mounts, &|file| std::fs::read_to_string(file).ok())
}

/// The smallest limit of the group and of those above it that are visible.
fn limit(groups: &str, mounts: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = mounts.lines().filter_map(mount).filter_map(|mount| {
        let group = group(groups, mount.is_version_2)?;
        // A group outside what is mounted is told by a path that leads out of it: then the mount is all there is.
        let below = group.strip_prefix(&mount.root).unwrap_or(Path::new(""));
        let folder = mount.point.join(below);
        let folders = folder.ancestors().take_while(|folder| folder.starts_with(&mount.point));
        folders.filter_map(|folder| limit_of(folder, mount.is_version_2, read)).min()
    });
    limits.min().filter(|&bytes| bytes < UNLIMITED_BYTES)
}

fn limit_of(folder: &Path, is_version_2: bool, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    if is_version_2 {
        return read(&folder.join("memory.max"))?.trim().parse().ok();
    }
    // The hierarchical limit counts groups that are not visible from here.
    let stat = read(&folder.join("memory.stat")).unwrap_or_default();
    let above = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit ")?.trim().parse().ok());
    above.or_else(|| read(&folder.join("memory.limit_in_bytes"))?.trim().parse().ok())
}

/// The path of this process's group, out of `/proc/self/cgroup`: lines of hierarchy, controllers and path.
fn group(groups: &str, is_version_2: bool) -> Option<&Path> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_ours =
            if is_version_2 { controllers.is_empty() } else { controllers.split(',').any(|name| name == "memory") };
        is_ours.then_some(Path::new(path))
    })
}

/// A hierarchy that can hold memory limits, out of a line of `/proc/self/mountinfo`.
fn mount(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(3);
    let (root, point) = (PathBuf::from(head.next()?), PathBuf::from(head.next()?));
    let mut tail = tail.split(' ');
    let (kind, options) = (tail.next()?, tail.nth(1).unwrap_or_default());
    match kind {
        "cgroup2" => Some(Mount { root, point, is_version_2: true }),
        "cgroup" if options.split(',').any(|option| option == "memory") => {
            Some(Mount { root, point, is_version_2: false })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limit_with(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let read = |file: &Path| {
            files.iter().find(|(path, _)| Path::new(path) == file).map(|(_, content)| (*content).to_owned())
        };
        limit(groups, mounts, &read)
    }

    #[test]
    fn a_namespace_of_version_2_shows_the_group_as_the_root() {
        let mounts = "31 23 0:27 / /sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup rw\n";
        let found = |max| limit_with("0::/\n", mounts, &[("/sys/fs/cgroup/memory.max", max)]);
        assert_eq!(found("33554432\n"), Some(32 * MIB));
        assert_eq!(found("max\n"), None);
    }

    #[test]
    fn without_a_namespace_the_smallest_limit_up_to_the_mount_counts() {
        let mounts = "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let files = [
            ("/sys/fs/cgroup/kubepods/pod1/c1/memory.max", "max"),
            ("/sys/fs/cgroup/kubepods/pod1/memory.max", "67108864"),
            ("/sys/fs/cgroup/kubepods/memory.max", "1073741824"),
        ];
        assert_eq!(limit_with("0::/kubepods/pod1/c1\n", mounts, &files), Some(64 * MIB));
    }

    #[test]
    fn version_1_is_found_behind_its_bind_mount() {
        let groups = "9:cpu,cpuacct:/kubepods/pod1/c1\n4:memory:/kubepods/pod1/c1\n0::/x\n";
        let mounts = "40 30 0:30 /kubepods/pod1/c1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n\
                      41 30 0:31 /kubepods/pod1/c1 /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n";
        let stat = ("/sys/fs/cgroup/memory/memory.stat", "cache 0\nhierarchical_memory_limit 50331648\n");
        let own = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
        assert_eq!(limit_with(groups, mounts, &[stat, own]), Some(48 * MIB));
        assert_eq!(limit_with(groups, mounts, &[own]), Some(64 * MIB));
        let none = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(limit_with(groups, mounts, &none), None);
    }

    #[test]
    fn where_nothing_tells_there_is_no_limit() {
        assert_eq!(limit_with("", "", &[]), None);
        assert_eq!(limit_with("0::/\n", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", &[]), None);
        let hybrid = "4:memory:/a\n0::/\n";
        let mounts = "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      41 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let files = [("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576")];
        assert_eq!(limit_with(hybrid, mounts, &files), Some(MIB));
    }
}
