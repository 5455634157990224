//! A folder of the cache: pinned files, their stamps, and the lock that keeps processes from each other.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::pin::{Pin, PinError};
use crate::stamp::Stamps;
use crate::{Difference, Progress, StoreError};

const LOCK_FILE: &str = ".lock";
const WORKSPACE_PREFIX: &str = ".incoming-";

/// Files that hash in less time than a person notices are verified without a word.
const PROGRESS_FROM_BYTES: u64 = 4 << 20;

/// A file of a manifest, as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Its path in the manifest.
    pub path: String,
    /// Where it lies, or would lie.
    pub location: PathBuf,
    /// Its length in the manifest.
    pub size_bytes: u64,
    /// What was found.
    pub state: FileState,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Nothing.
    Missing,
    /// A file of the right length whose digest is not known.
    Unchecked,
    /// The file of the manifest.
    Verified,
    /// Another file.
    Differs(Difference),
    /// Something that could not be read.
    Unreadable(String),
}

/// How closely a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Length and stamp; reads nothing.
    Stat,
    /// Reads what has no stamp.
    Stamp,
    /// Reads everything.
    Read,
}

/// A folder of the cache.
#[derive(Debug)]
pub(crate) struct CacheFolder {
    path: PathBuf,
    stamps: Stamps,
}

/// The right to change a folder, until dropped.
pub(crate) struct FolderLock {
    /// Deleted first: once the lock is gone, whoever is next clears away what it finds.
    workspace: TempDir,
    _file: File,
}

impl CacheFolder {
    /// The folder of this path, which need not exist.
    pub(crate) fn at(path: PathBuf) -> Self {
        let stamps = Stamps::load(&path);
        Self { path, stamps }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at a file in this folder or elsewhere, and remembers what it saw until [`CacheFolder::save_stamps`].
    pub(crate) fn examine(
        &mut self,
        location: &Path,
        pin: Pin,
        depth: Depth,
        progress: &dyn Progress,
    ) -> io::Result<FileState> {
        let metadata = match fs::metadata(location) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileState::Missing),
            Err(error) => return Err(error),
        };
        if depth != Depth::Read && self.stamps.holds(location, &metadata, pin.sha256) {
            return Ok(FileState::Verified);
        }
        if let Err(difference) = pin.check_size(metadata.len()) {
            self.stamps.forget(location);
            return Ok(FileState::Differs(difference));
        }
        if depth == Depth::Stat {
            return Ok(FileState::Unchecked);
        }
        self.read(location, pin, progress)
    }

    fn read(&mut self, location: &Path, pin: Pin, progress: &dyn Progress) -> io::Result<FileState> {
        let name = location.file_name().unwrap_or_default().to_string_lossy();
        let progress = if pin.size_bytes < PROGRESS_FROM_BYTES { &crate::NoProgress } else { progress };
        progress.step(&format!("verifying {name}"), Some(pin.size_bytes));
        match pin.check(location, progress) {
            Ok(metadata) => {
                self.stamps.set(location, &metadata, pin.sha256);
                progress.done(&format!("{name} verified"));
                Ok(FileState::Verified)
            }
            Err(PinError::Differs(difference)) => {
                self.stamps.forget(location);
                Ok(FileState::Differs(difference))
            }
            Err(PinError::Io(error)) => Err(error),
        }
    }

    /// A file was verified on its way to `location`, and this is its metadata there.
    pub(crate) fn stamp(&mut self, location: &Path, metadata: &Metadata, pin: Pin) {
        self.stamps.set(location, metadata, pin.sha256);
    }

    pub(crate) fn save_stamps(&mut self) {
        self.stamps.save();
    }

    /// Waits until no other process changes this folder, and makes an empty workspace in it.
    ///
    /// What other processes did meanwhile is seen after this: stamps are read anew.
    pub(crate) fn lock(&mut self, progress: &dyn Progress) -> Result<FolderLock, StoreError> {
        fs::create_dir_all(&self.path).map_err(StoreError::io("create", &self.path))?;
        let path = self.path.join(LOCK_FILE);
        let options = File::options().write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.step(&format!("waiting for another process to finish {}", self.path.display()), None);
                file.lock().map_err(StoreError::io("lock", &path))?;
                progress.done("the other process has finished");
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::Io { action: "lock", path, source }),
        }
        self.stamps = Stamps::load(&self.path);
        self.remove(|name| name.starts_with(WORKSPACE_PREFIX))?;
        let workspace = tempfile::Builder::new().prefix(WORKSPACE_PREFIX).tempdir_in(&self.path);
        Ok(FolderLock { workspace: workspace.map_err(StoreError::io("create a folder in", &self.path))?, _file: file })
    }

    fn remove(&self, is_doomed: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.path).map_err(StoreError::io("read", &self.path))? {
            let entry = entry.map_err(StoreError::io("read", &self.path))?;
            if is_doomed(&entry.file_name().to_string_lossy()) {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                match removed {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StoreError::io("delete", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl FolderLock {
    /// An empty folder on the same file system, deleted in the end.
    pub(crate) fn workspace(&self) -> &Path {
        self.workspace.path()
    }
}
