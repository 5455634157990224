//! A container's process as the host sees it: `/proc/<pid>`, see the manual page proc(5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    /// By its id on the host.
    pub(crate) fn new(id: u32) -> Self {
        Self { id }
    }

    /// Every process of this machine.
    pub(crate) fn all() -> Vec<Self> {
        let entries = std::fs::read_dir("/proc")
            .map(|entries| entries.filter_map(Result::ok).collect())
            .unwrap_or_else(|_| Vec::new());
        entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Self::new).collect()
    }

    /// Its id.
    pub(crate) fn id(self) -> u32 {
        self.id
    }

    /// A field of `/proc/<pid>/status`.
    pub(crate) fn status(self, field: &str) -> Result<String> {
        let text = self.read("status")?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {field} in the status of process {}", self.id))?.trim().to_owned())
    }

    /// Its environment.
    pub(crate) fn environment(self) -> Result<BTreeMap<String, String>> {
        let text = self.read("environ")?;
        let pairs = text.split('\0').filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Its arguments, parted by spaces.
    pub(crate) fn command_line(self) -> String {
        self.read("cmdline").unwrap_or_default().replace('\0', " ").trim().to_owned()
    }

    /// What its descriptors are: `socket:[123]`, `/dev/null`, `/memfd:module (deleted)`.
    pub(crate) fn descriptors(self) -> Result<BTreeMap<u32, String>> {
        let folder = self.folder().join("fd");
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut found = BTreeMap::new();
        for entry in entries.filter_map(Result::ok) {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // One that was closed meanwhile has no target any more.
            if let (Some(number), Ok(target)) = (number, std::fs::read_link(entry.path())) {
                found.insert(number, target.display().to_string());
            }
        }
        Ok(found)
    }

    /// Device and number of the file that runs.
    pub(crate) fn program(self) -> Result<(u64, u64)> {
        identity(&self.folder().join("exe"))
    }

    /// Options of the mount at a path of its own.
    pub(crate) fn mount_options(self, path: &str) -> Result<BTreeSet<String>> {
        let text = self.read("mountinfo")?;
        let line = text.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
        let line = line.with_context(|| format!("process {} has no mount at {path}", self.id))?;
        Ok(line.split(' ').nth(5).unwrap_or_default().split(',').map(str::to_owned).collect())
    }

    /// What lies in its root folder.
    pub(crate) fn root(self) -> Result<BTreeSet<String>> {
        let root = self.folder().join("root");
        let entries = std::fs::read_dir(&root).with_context(|| format!("cannot read {}", root.display()))?;
        Ok(entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect())
    }

    /// Its control group in the hierarchy of a controller, version 1 or 2, as a folder.
    pub(crate) fn cgroup(self, controller: &str) -> Result<PathBuf> {
        let text = self.read("cgroup")?;
        let first = text.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/'))
        });
        if let Some(path) = first {
            return Ok(Path::new("/sys/fs/cgroup").join(controller).join(path));
        }
        let second = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = second.with_context(|| format!("process {} is in no control group", self.id))?;
        Ok(Path::new("/sys/fs/cgroup").join(path))
    }

    /// Its share of the memory, in bytes: what it shares with others counts in parts.
    pub(crate) fn share_bytes(self) -> Result<u64> {
        let text = self.read("smaps_rollup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("Pss is no number")?;
        Ok(kib << 10)
    }

    fn read(self, name: &str) -> Result<String> {
        let path = self.folder().join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn folder(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.id))
    }
}

/// Device and number of a file, by which two paths of it are known to be one.
pub(crate) fn identity(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let process = Process::new(std::process::id());
        assert!(process.status("Threads").expect("there is one").parse::<u32>().expect("a number") >= 1);
        assert!(process.environment().expect("it can be read").contains_key("PATH"));
        assert!(process.descriptors().expect("they can be read").contains_key(&1));
        assert!(process.share_bytes().expect("it can be read") > 0);
        assert!(process.cgroup("memory").is_ok());
    }
}
