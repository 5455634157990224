//! The files of a bundle while it is laid out: copied, with the same modes and times whoever does it, and listed in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wisp_model_store::Sha256Digest;

use super::may_replace;
use crate::progress::readable_bytes;

/// The list of everything, at the top of the bundle; it makes a folder a bundle.
pub(super) const BUNDLE_FILE: &str = "bundle.json";

const PROGRAM_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// A bundle that is being laid out beside its destination.
pub(super) struct Contents {
    /// Where it grows.
    root: PathBuf,
    /// Where it is moved in the end.
    destination: PathBuf,
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    File { part: &'static str, mode: u32 },
    Link { target: String },
    Folder,
}

/// What a bundle holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    parts: BTreeMap<&'static str, (usize, u64)>,
    /// A digest over paths, modes and contents: equal for equal bundles.
    pub(super) digest: Sha256Digest,
}

impl Contents {
    /// Begins a bundle for `destination`.
    pub(super) fn begin(destination: &Path) -> Result<Self> {
        ensure!(
            may_replace(destination),
            "{} holds something else than a bundle; name another folder with --out, or empty it",
            destination.display()
        );
        let name = destination.file_name().context("the bundle's folder has a name")?.to_string_lossy().into_owned();
        let root = destination.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        Ok(Self { root, destination: destination.to_owned(), entries: BTreeMap::new() })
    }

    /// Where a file lies now.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Adds a program or library. Returns where it lies, for it to be changed.
    pub(super) fn add_program(&mut self, source: &Path, name: &str, part: &'static str) -> Result<PathBuf> {
        self.add(source, name, part, PROGRAM_MODE)
    }

    /// Adds a file that is only read.
    pub(super) fn add_file(&mut self, source: &Path, name: &str, part: &'static str) -> Result<PathBuf> {
        self.add(source, name, part, FILE_MODE)
    }

    /// Adds a file with this content.
    pub(super) fn add_text(&mut self, text: &str, name: &str, part: &'static str) -> Result<()> {
        let path = self.prepare(name)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.entries.insert(name.to_owned(), Entry::File { part, mode: FILE_MODE });
        Ok(())
    }

    /// Adds a symbolic link.
    pub(super) fn add_link(&mut self, name: &str, target: &str) -> Result<()> {
        let path = self.prepare(name)?;
        std::os::unix::fs::symlink(target, &path).with_context(|| format!("cannot link {}", path.display()))?;
        self.entries.insert(name.to_owned(), Entry::Link { target: target.to_owned() });
        Ok(())
    }

    /// Adds an empty folder.
    pub(super) fn add_folder(&mut self, name: &str) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        self.entries.insert(name.to_owned(), Entry::Folder);
        Ok(())
    }

    /// Names of the programs and libraries.
    pub(super) fn shared_objects(&self) -> Vec<String> {
        let is_object = |entry: &Entry| matches!(entry, Entry::File { mode: PROGRAM_MODE, .. });
        self.entries.iter().filter(|(_, entry)| is_object(entry)).map(|(name, _)| name.clone()).collect()
    }

    /// Fixes modes and times, writes the list, and moves the bundle to its destination.
    pub(super) fn finish(self, version: &str, mount_point: &str) -> Result<Summary> {
        let mut parts: BTreeMap<&'static str, (usize, u64)> = BTreeMap::new();
        let (mut lines, mut files) = (String::new(), Vec::new());
        for (name, entry) in &self.entries {
            let path = self.path(name);
            match entry {
                Entry::File { part, mode } => {
                    let (bytes, sha256) = fix(&path, *mode).with_context(|| path.display().to_string())?;
                    lines.push_str(&format!("{mode:o} {sha256} {name}\n"));
                    files.push(json!({"path": name, "part": part, "bytes": bytes, "sha256": sha256.to_string(),
                        "mode": format!("{mode:o}")}));
                    let sum = parts.entry(part).or_default();
                    *sum = (sum.0 + 1, sum.1 + bytes);
                }
                Entry::Link { target } => {
                    lines.push_str(&format!("link {target} {name}\n"));
                    files.push(json!({"path": name, "link": target}));
                }
                Entry::Folder => {
                    lines.push_str(&format!("folder {name}\n"));
                    files.push(json!({"path": name, "folder": true}));
                }
            }
        }
        let summary = Summary { parts, digest: Sha256Digest::of(lines.as_bytes()) };
        let sizes =
            summary.parts.iter().map(|(part, (count, bytes))| json!({"name": part, "files": count, "bytes": bytes}));
        let list = json!({
            "name": "wisp",
            "version": version,
            "platform": format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            "mount_point": mount_point,
            "digest": summary.digest.to_string(),
            "parts": sizes.collect::<Vec<_>>(),
            "files": files,
        });
        let path = self.path(BUNDLE_FILE);
        fs::write(&path, format!("{list:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        fix(&path, FILE_MODE).with_context(|| path.display().to_string())?;
        self.publish()?;
        Ok(summary)
    }

    fn add(&mut self, source: &Path, name: &str, part: &'static str, mode: u32) -> Result<PathBuf> {
        let path = self.prepare(name)?;
        let shown = || format!("cannot copy {} to {}", source.display(), path.display());
        fs::copy(source, &path).with_context(shown)?;
        // Sources may be read-only, and programs are changed in place.
        fs::set_permissions(&path, Permissions::from_mode(mode)).with_context(shown)?;
        self.entries.insert(name.to_owned(), Entry::File { part, mode });
        Ok(path)
    }

    fn prepare(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        let folder = path.parent().context("every file of a bundle lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(path)
    }

    fn publish(&self) -> Result<()> {
        let destination = &self.destination;
        fix_folders(&self.root).with_context(|| self.root.display().to_string())?;
        if destination.exists() {
            fs::remove_dir_all(destination).with_context(|| format!("cannot delete {}", destination.display()))?;
        }
        fs::rename(&self.root, destination)
            .with_context(|| format!("cannot rename {} to {}", self.root.display(), destination.display()))
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // It is gone where the bundle was published; otherwise nobody has a use for half of one.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Sets mode and time; returns length and digest.
fn fix(path: &Path, mode: u32) -> std::io::Result<(u64, Sha256Digest)> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let file = File::options().read(true).append(true).open(path)?;
    file.set_modified(SystemTime::UNIX_EPOCH)?;
    let bytes = file.metadata()?.len();
    Ok((bytes, Sha256Digest::of_reader(file, |_| {})?))
}

fn fix_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fix_folders(&entry.path())?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(PROGRAM_MODE))?;
    File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH)
}

impl Summary {
    pub(super) fn total_bytes(&self) -> u64 {
        self.parts.values().map(|(_, bytes)| bytes).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22} {:>6} {:>10}", "part", "files", "size")?;
        for (part, (count, bytes)) in &self.parts {
            writeln!(f, "{part:<22} {count:>6} {:>10}", readable_bytes(*bytes))?;
        }
        writeln!(
            f,
            "{:<22} {:>6} {:>10}",
            "all",
            self.parts.values().map(|(count, _)| count).sum::<usize>(),
            readable_bytes(self.total_bytes())
        )?;
        writeln!(f, "digest {}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(folder: &Path, name: &str, text: &str) -> Summary {
        let source = folder.join(format!("{name}.source"));
        fs::write(&source, text).expect("writable");
        let mut contents = Contents::begin(&folder.join(name)).expect("nothing is there");
        contents.add_program(&source, "bin/wisp", "engine").expect("copied");
        contents.add_text("licence", "share/licenses/WISP", "licences").expect("written");
        contents.add_link("lib/a/libc.so.6", "../libc.so.6").expect("linked");
        contents.add_folder("node").expect("made");
        contents.finish("1.2.3", "/opt/wisp").expect("finished")
    }

    #[test]
    fn equal_contents_have_equal_digests_lists_and_times() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (a, b) = (laid_out(folder.path(), "a", "program"), laid_out(folder.path(), "b", "program"));
        assert_eq!(a, b);
        assert_ne!(a.digest, laid_out(folder.path(), "c", "Program").digest);
        let list = |name: &str| fs::read(folder.path().join(name).join(BUNDLE_FILE)).expect("was written");
        assert_eq!(list("a"), list("b"));
        for name in ["a", "a/bin", "a/bin/wisp", "a/bundle.json"] {
            let metadata = fs::metadata(folder.path().join(name)).expect("is there");
            assert_eq!(metadata.modified().expect("known"), SystemTime::UNIX_EPOCH, "{name}");
        }
    }

    #[test]
    fn the_list_names_every_file_with_size_and_digest() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let summary = laid_out(folder.path(), "a", "program");
        let list = fs::read(folder.path().join("a").join(BUNDLE_FILE)).expect("was written");
        let list: serde_json::Value = serde_json::from_slice(&list).expect("an object");
        assert_eq!(list["version"], "1.2.3");
        assert_eq!(list["digest"], summary.digest.to_string());
        let program = list["files"].as_array().expect("a list").iter().find(|file| file["path"] == "bin/wisp");
        let program = program.expect("is listed");
        assert_eq!((&program["bytes"], &program["mode"]), (&7.into(), &"755".into()));
        assert_eq!(program["sha256"], Sha256Digest::of(b"program").to_string());
        assert_eq!(summary.total_bytes(), 14);
    }

    #[test]
    fn what_was_begun_and_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let contents = Contents::begin(&folder.path().join("a")).expect("nothing is there");
        drop(contents);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }
}
