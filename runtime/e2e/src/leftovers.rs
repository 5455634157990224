//! What a run leaves behind on the machine: processes, mounts, control groups and sockets. There must be nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Where shims put their sockets, whatever containerd's own folders are.
const SHIM_SOCKETS: &str = "/run/containerd/s";

/// What belongs to a run, by the marks that everything of it carries.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// The run's folder: in command lines and mounts.
    pub(crate) folder: PathBuf,
    /// The parent of its control groups, `/wisp-e2e-1`.
    pub(crate) cgroup: String,
    /// The shims' sockets that were there before.
    sockets: Vec<PathBuf>,
}

impl Marks {
    /// The marks of a run that begins now.
    pub(crate) fn new(folder: &Path, cgroup: &str) -> Self {
        Self { folder: folder.to_owned(), cgroup: cgroup.to_owned(), sockets: entries(Path::new(SHIM_SOCKETS)) }
    }

    /// Everything that is left, one line each. `containerd` itself is not counted while it runs.
    pub(crate) fn leftovers(&self) -> Result<Vec<String>> {
        let processes = self.processes().into_iter();
        let mut left: Vec<String> = processes.map(|(id, name)| format!("process {id}: {name}")).collect();
        left.extend(self.mount_points()?.into_iter().map(|point| format!("mount {point}")));
        left.extend(self.cgroups());
        left.extend(self.dead_sockets().map(|socket| format!("socket {}", socket.display())));
        Ok(left)
    }

    /// Processes whose command line names the folder, or that are in a control group of the run.
    fn processes(&self) -> Vec<(u32, String)> {
        let folder = self.folder.display().to_string();
        let mut found = Vec::new();
        for process in entries(Path::new("/proc")) {
            let Some(id) = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
            // A process may end at any time; then there is nothing to read and nothing to report.
            let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
            let command = read("cmdline").replace('\0', " ");
            let is_daemon = command.contains("config.toml");
            if id == std::process::id() || is_daemon {
                continue;
            }
            if command.contains(&folder) || read("cgroup").contains(&self.cgroup) {
                let name = if command.is_empty() { format!("[{}]", read("comm").trim()) } else { command };
                found.push((id, name.trim().to_owned()));
            }
        }
        found
    }

    fn mount_points(&self) -> Result<Vec<String>> {
        let folder = self.folder.display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        Ok(points.filter(|point| point.starts_with(&folder)).map(str::to_owned).collect())
    }

    /// New sockets that nobody listens on: those of living shims may be another containerd's, and a living shim of this run
    /// is found as a process.
    fn dead_sockets(&self) -> impl Iterator<Item = PathBuf> {
        let living = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let new = entries(Path::new(SHIM_SOCKETS)).into_iter().filter(|socket| !self.sockets.contains(socket));
        new.filter(move |socket| !living.contains(&socket.display().to_string()))
    }

    /// Control groups of containers in every hierarchy, of version 1 and 2. The pods' own are not counted: who names a
    /// parent makes and removes it, which is the kubelet elsewhere and this harness here.
    fn cgroups(&self) -> Vec<String> {
        let pods = self.parents().flat_map(|parent| entries(&parent));
        let containers = pods.flat_map(|pod| entries(&pod)).filter(|path| path.is_dir());
        containers.map(|path| format!("control group {}", path.display())).collect()
    }

    /// Ends and removes what a broken runtime has left, and the control groups above the pods', which belong to the harness as
    /// they would to the kubelet. Best effort: it has been counted before.
    pub(crate) fn clean(&self) {
        for (id, _) in self.processes() {
            if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        for point in self.mount_points().unwrap_or_default().iter().rev() {
            let _ = unmount(point.as_str(), UnmountFlags::DETACH);
        }
        for socket in self.dead_sockets() {
            let _ = std::fs::remove_file(socket);
        }
        for parent in self.parents() {
            for pod in entries(&parent) {
                entries(&pod).into_iter().for_each(|container| drop(std::fs::remove_dir(container)));
                // Files of a control group cannot be removed, and one that is in use is reported by the check.
                let _ = std::fs::remove_dir(pod);
            }
            let _ = std::fs::remove_dir(parent);
        }
    }

    /// The run's control group in every hierarchy.
    fn parents(&self) -> impl Iterator<Item = PathBuf> {
        let hierarchies = entries(Path::new(CGROUPS)).into_iter().chain([PathBuf::from(CGROUPS)]);
        let name = self.cgroup.trim_start_matches('/');
        hierarchies.map(move |hierarchy| hierarchy.join(name)).filter(|parent| parent.is_dir())
    }
}

/// What a folder holds; nothing if it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    entries.map(Iterator::collect).unwrap_or_default()
}
