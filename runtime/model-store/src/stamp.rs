//! Remembers which files were verified, so that a start need not hash them again.
//!
//! A stamp holds until anything about the file changes that the system can see: length, times of content and of metadata,
//! inode or device. It saves time, it is no protection: who can write the cache can write stamps, and
//! [`Store::verify`](crate::Store::verify) reads every byte whatever they say.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Sha256Digest;

const FILE_NAME: &str = ".verified.json";

/// The stamps of one cache folder, by path of the verified file: relative for files in the folder, because the folder is known
/// by several names where it is linked to, and absolute for others.
#[derive(Debug)]
pub(crate) struct Stamps {
    file: PathBuf,
    entries: BTreeMap<String, Stamp>,
    is_changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    sha256: Sha256Digest,
    size_bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
}

impl Stamps {
    /// The stamps of `folder`; none when they cannot be read, for then files are hashed again.
    pub(crate) fn load(folder: &Path) -> Self {
        let file = folder.join(FILE_NAME);
        let entries = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, entries, is_changed: false }
    }

    /// Whether the file, as it is now, was verified to have this digest.
    pub(crate) fn holds(&self, path: &Path, metadata: &Metadata, sha256: Sha256Digest) -> bool {
        self.entries.get(&self.key(path)) == Some(&Stamp::of(metadata, sha256))
    }

    /// The file with this metadata was read and has this digest.
    pub(crate) fn set(&mut self, path: &Path, metadata: &Metadata, sha256: Sha256Digest) {
        let stamp = Stamp::of(metadata, sha256);
        self.is_changed |= self.entries.insert(self.key(path), stamp) != Some(stamp);
    }

    /// The file is not what it was.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.is_changed |= self.entries.remove(&self.key(path)).is_some();
    }

    /// Writes the stamps if there is anything new. A cache that is read-only works without them: its files are hashed at every start.
    ///
    /// Two processes that save at once keep the stamps of one; the other's files are hashed once more.
    pub(crate) fn save(&mut self) {
        if !self.is_changed {
            return;
        }
        self.is_changed = false;
        if let Err(error) = self.try_save() {
            tracing::debug!(file = %self.file.display(), %error, "stamps not written; files are hashed at the next start");
        }
    }

    fn try_save(&self) -> std::io::Result<()> {
        let folder = self.folder();
        fs::create_dir_all(folder)?;
        // Readable by others, as everything else in the cache: it is often filled by one user and read by another.
        let readable = fs::Permissions::from_mode(0o644);
        let mut incoming = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
        // Files elsewhere come and go; what is gone would be read at every start for ever.
        let kept: BTreeMap<_, _> = self.entries.iter().filter(|(path, _)| folder.join(path).exists()).collect();
        serde_json::to_writer_pretty(&mut incoming, &kept)?;
        incoming.persist(&self.file)?;
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    fn key(&self, path: &Path) -> String {
        path.strip_prefix(self.folder()).unwrap_or(path).to_string_lossy().into_owned()
    }
}

impl Stamp {
    fn of(metadata: &Metadata, sha256: Sha256Digest) -> Self {
        Self {
            sha256,
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            // Times of content can be set back; the time of the last change to the inode cannot.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_until_the_file_is_written_or_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("weights");
        let sha256 = Sha256Digest::of(b"weights");
        fs::write(&path, b"weights").expect("writable");
        let metadata = fs::metadata(&path).expect("written");

        let mut stamps = Stamps::load(folder.path());
        assert!(!stamps.holds(&path, &metadata, sha256), "nothing was verified yet");
        stamps.set(&path, &metadata, sha256);
        stamps.save();

        let loaded = Stamps::load(folder.path());
        assert!(loaded.holds(&path, &metadata, sha256));
        assert!(!loaded.holds(&path, &metadata, Sha256Digest::of(b"other")), "another version of the manifest");

        // Same length and same time of content, as a careful swap would leave them.
        let other = folder.path().join("other");
        fs::write(&other, b"stheigw").expect("writable");
        let times = fs::FileTimes::new().set_modified(metadata.modified().expect("known on unix"));
        fs::File::options().write(true).open(&other).expect("just written").set_times(times).expect("own file");
        fs::rename(&other, &path).expect("same folder");
        let swapped = fs::metadata(&path).expect("moved");
        assert_eq!((swapped.len(), swapped.mtime()), (metadata.len(), metadata.mtime()));
        assert!(!loaded.holds(&path, &swapped, sha256));
    }

    #[test]
    fn stamps_hold_under_every_name_of_the_folder_and_not_for_files_that_are_gone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let real = folder.path().join("real");
        fs::create_dir(&real).expect("new folder");
        let (inside, elsewhere) = (real.join("weights"), folder.path().join("elsewhere"));
        let sha256 = Sha256Digest::of(b"weights");
        let mut stamps = Stamps::load(&real);
        for path in [&inside, &elsewhere] {
            fs::write(path, b"weights").expect("writable");
            stamps.set(path, &fs::metadata(path).expect("written"), sha256);
        }
        fs::remove_file(&elsewhere).expect("was written");
        stamps.save();

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let loaded = Stamps::load(&link);
        let metadata = fs::metadata(&inside).expect("written");
        assert!(loaded.holds(&link.join("weights"), &metadata, sha256));
        assert_eq!(loaded.entries.len(), 1, "{:?}", loaded.entries);
    }

    #[test]
    fn nothing_is_written_when_nothing_is_new() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut stamps = Stamps::load(folder.path());
        stamps.forget(Path::new("never seen"));
        stamps.save();
        assert!(!folder.path().join(FILE_NAME).exists());
    }

    #[test]
    fn stamps_that_cannot_be_read_or_written_are_done_without() {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join(FILE_NAME), b"{ not json").expect("writable");
        assert!(Stamps::load(folder.path()).entries.is_empty());
        // A file where the folder should be: no folder can be made there, whoever asks.
        let blocked = folder.path().join("file");
        fs::write(&blocked, b"").expect("writable");
        let mut stamps = Stamps::load(&blocked.join("below"));
        stamps.set(&blocked, &fs::metadata(&blocked).expect("written"), Sha256Digest::of(b""));
        stamps.save();
        assert!(blocked.is_file());
    }
}
