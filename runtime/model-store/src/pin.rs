//! Files that are known by length and digest, and the one way in which they come to be used.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use crate::{Difference, Progress, Sha256Digest};

/// What a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256Digest,
}

/// Why a file was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    #[error(transparent)]
    Differs(#[from] Difference),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Pin {
    /// Compares the length, which costs nothing.
    pub(crate) fn check_size(&self, actual_bytes: u64) -> Result<(), Difference> {
        match actual_bytes == self.size_bytes {
            true => Ok(()),
            false => Err(Difference::Size { expected_bytes: self.size_bytes, actual_bytes }),
        }
    }

    /// Reads the whole file and compares; `progress` gets the bytes read, inside a step of the caller.
    ///
    /// Returns the metadata of the very file that was read.
    pub(crate) fn check(&self, path: &Path, progress: &dyn Progress) -> Result<Metadata, PinError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file").into());
        }
        self.check_size(metadata.len())?;
        let actual = Sha256Digest::of_reader(&file, |bytes| progress.advance(bytes))?;
        match actual == self.sha256 {
            true => Ok(metadata),
            false => Err(Difference::Digest { expected: self.sha256, actual }.into()),
        }
    }

    /// Verifies `incoming` and moves it to `destination` on the same file system, in one step that other processes see
    /// whole or not at all. A file that differs is deleted. Returns the metadata of the file in its place.
    pub(crate) fn accept(&self, incoming: &Path, destination: &Path) -> Result<Metadata, PinError> {
        if let Err(error) = self.check(incoming, &crate::NoProgress) {
            if matches!(error, PinError::Differs(_)) {
                fs::remove_file(incoming)?;
            }
            return Err(error);
        }
        // The digest vouches for the page cache; the disk has to follow before the name exists.
        File::open(incoming)?.sync_all()?;
        if let Some(folder) = destination.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(incoming, destination)?;
        // Not what `check` returned: the move changed the inode's times.
        Ok(fs::metadata(destination)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;

    fn pin(bytes: &[u8]) -> Pin {
        Pin { size_bytes: bytes.len() as u64, sha256: Sha256Digest::of(bytes) }
    }

    #[test]
    fn a_good_file_is_moved_into_a_folder_that_need_not_exist() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (incoming, destination) = (folder.path().join("in"), folder.path().join("a/b/out"));
        fs::write(&incoming, b"weights").expect("writable");
        pin(b"weights").accept(&incoming, &destination).expect("same bytes");
        assert_eq!(fs::read(&destination).expect("moved"), b"weights");
        assert!(!incoming.exists());
    }

    #[test]
    fn a_wrong_file_is_deleted_and_what_lay_there_stays() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (incoming, destination) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&destination, b"old").expect("writable");
        for wrong in [&b"weight"[..], b"weighty"] {
            fs::write(&incoming, wrong).expect("writable");
            let error = pin(b"weights").accept(&incoming, &destination).expect_err("other bytes");
            assert!(matches!(error, PinError::Differs(_)), "{error}");
            assert!(!incoming.exists());
            assert_eq!(fs::read(&destination).expect("untouched"), b"old");
        }
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let error = pin(b"").check(folder.path(), &NoProgress).expect_err("a folder");
        assert_eq!(error.to_string(), "it is not a file");
    }
}
