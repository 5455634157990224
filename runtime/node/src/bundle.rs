//! What is installed: a folder with the engine, the shim and their libraries, and `bundle.json`, which names every file of it.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Node, NodeError, files};

/// The file that names all others.
const MANIFEST: &str = "bundle.json";
/// The shim, which containerd starts.
const SHIM: &str = "bin/containerd-shim-wisp-v1";
/// The link to the version that new pods get.
const CURRENT: &str = "current";
/// How the folder of a version begins that is not whole yet.
const PARTIAL: &str = ".partial-";
/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Folders, and what runs, for everybody.
const PROGRAM_MODE: u32 = 0o755;

/// A bundle in some folder.
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
}

#[derive(Clone, Debug, Deserialize)]
struct Manifest {
    version: String,
    digest: String,
    files: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    path: PathBuf,
    #[serde(flatten)]
    content: Content,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Link {
        link: PathBuf,
    },
    File {
        sha256: String,
        /// In octal digits.
        mode: String,
    },
    Folder {
        #[serde(rename = "folder")]
        _folder: bool,
    },
}

impl Bundle {
    /// Reads what a folder says of itself.
    ///
    /// # Errors
    /// [`NodeError::Bundle`] where it is no bundle with a shim.
    pub fn open(folder: &Path) -> Result<Self, NodeError> {
        let wrong = |reason: String| NodeError::Bundle { path: folder.to_owned(), reason };
        let text = std::fs::read_to_string(folder.join(MANIFEST));
        let text = text.map_err(|error| wrong(format!("{MANIFEST} cannot be read: {error}")))?;
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| wrong(format!("{MANIFEST} is malformed: {error}")))?;
        if !is_name(&manifest.version) {
            return Err(wrong(format!("`{}` is no version that a folder can be called by", manifest.version)));
        }
        if let Some(entry) = manifest.files.iter().find(|entry| !stays_inside(&entry.path)) {
            return Err(wrong(format!("`{}` leads out of it", entry.path.display())));
        }
        if !manifest.files.iter().any(|entry| entry.path == Path::new(SHIM)) {
            return Err(wrong(format!("it lacks {SHIM}")));
        }
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// The digest of all of it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// Copies it to its version's folder on the node. What is whole there already stays as it is; returns whether anything was done.
    pub(crate) fn copy_to(&self, node: &Node) -> Result<bool, NodeError> {
        let target = node.prefix().join(self.version());
        if target.exists() {
            let there = Self::open(&target)?;
            if there.digest() != self.digest() {
                let (there, new) = (there.digest().to_owned(), self.digest().to_owned());
                return Err(NodeError::OtherContent { version: self.version().to_owned(), there, new });
            }
            return Ok(false);
        }
        std::fs::create_dir_all(node.prefix()).map_err(NodeError::io("create", &node.prefix()))?;
        remove_partial(node)?;
        let partial = node.prefix().join(format!("{PARTIAL}{}", self.version()));
        for entry in &self.manifest.files {
            self.copy_entry(entry, &partial)?;
        }
        // Last of all: a folder without it is no bundle.
        copy(&self.folder.join(MANIFEST), &partial.join(MANIFEST), 0o644)?;
        files::sync(&partial);
        std::fs::rename(&partial, &target).map_err(NodeError::io("rename to", &target))?;
        files::sync(&node.prefix());
        Ok(true)
    }

    fn copy_entry(&self, entry: &Entry, partial: &Path) -> Result<(), NodeError> {
        let (from, to) = (self.folder.join(&entry.path), partial.join(&entry.path));
        let folder = to.parent().unwrap_or(partial);
        std::fs::create_dir_all(folder).map_err(NodeError::io("create", folder))?;
        match &entry.content {
            Content::Folder { .. } => std::fs::create_dir_all(&to).map_err(NodeError::io("create", &to)),
            Content::Link { link } => symlink(link, &to).map_err(NodeError::io("create", &to)),
            Content::File { sha256, mode } => {
                let mode = u32::from_str_radix(mode, 8).unwrap_or(PROGRAM_MODE) & PROGRAM_MODE;
                let found = copy(&from, &to, mode)?;
                if found == sha256.trim_start_matches("sha256:") {
                    return Ok(());
                }
                let reason = format!("{} has the digest {found}, not {sha256}", entry.path.display());
                Err(NodeError::Bundle { path: self.folder.clone(), reason })
            }
        }
    }
}

/// Where containerd finds the shim, as a path of the node.
pub(crate) fn shim() -> PathBuf {
    Path::new("/").join(crate::PREFIX).join(CURRENT).join(SHIM)
}

/// The version that new pods get.
pub(crate) fn current(node: &Node) -> Option<String> {
    let target = std::fs::read_link(node.prefix().join(CURRENT)).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// Gives new pods this version.
pub(crate) fn switch(node: &Node, version: &str) -> Result<(), NodeError> {
    files::link(&node.prefix().join(CURRENT), Path::new(version))
}

/// Gives new pods none.
pub(crate) fn unlink(node: &Node) -> Result<(), NodeError> {
    files::remove(&node.prefix().join(CURRENT))
}

/// Every version that is installed, in the order of their names.
pub(crate) fn installed(node: &Node) -> Result<Vec<Bundle>, NodeError> {
    let prefix = node.prefix();
    let entries = match std::fs::read_dir(&prefix) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(NodeError::io("list", &prefix))?,
    };
    let mut bundles = Vec::new();
    for entry in entries {
        let entry = entry.map_err(NodeError::io("list", &prefix))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // What is half removed, or was never whole, is no bundle any more.
        if is_folder && let Ok(bundle) = Bundle::open(&entry.path()) {
            bundles.push(bundle);
        }
    }
    bundles.sort_by(|a, b| a.version().cmp(b.version()));
    Ok(bundles)
}

/// Removes a version. Its list goes first, so that half of it is none.
pub(crate) fn remove(node: &Node, version: &str) -> Result<(), NodeError> {
    let folder = node.prefix().join(version);
    files::remove(&folder.join(MANIFEST))?;
    files::remove_folder(&folder)
}

/// Removes what an installation left that was interrupted.
pub(crate) fn remove_partial(node: &Node) -> Result<(), NodeError> {
    let prefix = node.prefix();
    let Ok(entries) = std::fs::read_dir(&prefix) else { return Ok(()) };
    for entry in entries.flatten() {
        let is_whole = !entry.file_name().to_string_lossy().starts_with(PARTIAL);
        let is_version = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_version && (!is_whole || !entry.path().join(MANIFEST).exists()) {
            files::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Copies a file; returns its digest.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<String, NodeError> {
    let mut source = File::open(from).map_err(NodeError::io("read", from))?;
    let mut target = File::create_new(to).map_err(NodeError::io("create", to))?;
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        let length = source.read(&mut chunk).map_err(NodeError::io("read", from))?;
        if length == 0 {
            break;
        }
        digest.update(&chunk[..length]);
        target.write_all(&chunk[..length]).map_err(NodeError::io("write", to))?;
    }
    target.set_permissions(Permissions::from_mode(mode)).map_err(NodeError::io("open to readers", to))?;
    target.sync_all().map_err(NodeError::io("write", to))?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a folder can be called so, and not be taken for anything else.
fn is_name(version: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._+-".contains(character);
    version.starts_with(|first: char| first.is_ascii_alphanumeric())
        && version != CURRENT
        && version.chars().all(is_plain)
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}
