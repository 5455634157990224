//! What goes into a blob: bytes, or the files of a model as a tar archive that is the same on every machine.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use wisp_model_store::{PackagedContent, PackagedFile, Sha256Digest, Sha256Hasher};

/// Bytes that are read and sent at a time; with what lies ready, all that is in memory of a layer.
pub(crate) const PIECE_BYTES: usize = 4 << 20;

/// Files below this share the first layer; each of the others is a layer of its own, which registries keep once whatever
/// else changes about the model.
const SHARED_BELOW_BYTES: u64 = 1 << 20;

/// What a blob is made of; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    /// A tar archive of these files, sorted by path.
    Tar(Arc<[PackagedFile]>),
}

impl Content {
    /// Writes all of it; the same bytes each time.
    pub(crate) fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => writer.write_all(bytes),
            Self::Tar(files) => write_tar(files, writer),
        }
    }

    /// Digest and length, without keeping any of it.
    pub(crate) fn measure(&self, advance: &mut dyn FnMut(u64)) -> io::Result<(Sha256Digest, u64)> {
        let mut counter = Counter { hasher: Sha256Hasher::default(), size_bytes: 0, advance };
        self.write_to(&mut counter)?;
        Ok((counter.hasher.finish(), counter.size_bytes))
    }
}

/// The layers of a model: small files together, each large one alone.
pub(crate) fn layers_of(files: Vec<PackagedFile>) -> Vec<(String, Content)> {
    let (small, large): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.size_bytes() < SHARED_BELOW_BYTES);
    let mut layers = vec![("manifest and small files".to_owned(), Content::Tar(small.into()))];
    layers.extend(large.into_iter().map(|file| (file.path.clone(), Content::Tar(Arc::from([file])))));
    layers
}

/// Entries in the order of their paths, owned by root, readable by everybody, of no time: nothing of this machine is in it.
fn write_tar(files: &[PackagedFile], writer: &mut impl Write) -> io::Result<()> {
    let mut builder = Builder::new(writer);
    let mut folders = BTreeSet::new();
    for file in files {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..=end];
            if folders.insert(folder) {
                builder.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, io::empty())?;
            }
        }
        let mut header = header(EntryType::Regular, 0o644, file.size_bytes());
        match &file.content {
            PackagedContent::Bytes(bytes) => builder.append_data(&mut header, &file.path, &bytes[..])?,
            PackagedContent::File { location, size_bytes } => {
                // A file that grew meanwhile would shift all that follows; one that shrank is told by its digest.
                let reader = File::open(location)?.take(*size_bytes);
                builder.append_data(&mut header, &file.path, reader)?;
            }
        }
    }
    builder.finish()
}

fn header(kind: EntryType, mode: u32, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size_bytes);
    header
}

struct Counter<'a> {
    hasher: Sha256Hasher,
    size_bytes: u64,
    advance: &'a mut dyn FnMut(u64),
}

impl Write for Counter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        (self.advance)(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> PackagedFile {
        PackagedFile { path: path.to_owned(), content: PackagedContent::Bytes(content.to_vec()) }
    }

    #[test]
    fn equal_files_make_equal_archives_wherever_they_lie() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let location = folder.path().join("anything");
        std::fs::write(&location, b"weights").expect("writable");
        let on_disk = PackagedContent::File { location, size_bytes: 7 };
        let first =
            Content::Tar(Arc::from([file("golden/a.npy", b"a"), file("golden/b.npy", b"b"), file("w", b"weights")]));
        let second = Content::Tar(Arc::from([
            file("golden/a.npy", b"a"),
            file("golden/b.npy", b"b"),
            PackagedFile { path: "w".to_owned(), content: on_disk },
        ]));
        let mut seen_bytes = 0;
        let measured = first.measure(&mut |bytes| seen_bytes += bytes).expect("memory");
        assert_eq!(measured, second.measure(&mut |_| ()).expect("readable"));
        assert_eq!(measured.1, seen_bytes);

        let mut archive = Vec::new();
        first.write_to(&mut archive).expect("memory");
        let mut archive = tar::Archive::new(&archive[..]);
        let entries = archive.entries().expect("an archive").map(|entry| {
            let entry = entry.expect("whole");
            let header = entry.header();
            let path = entry.path().expect("a path").display().to_string();
            (path, header.mode().expect("set"), header.uid().expect("set"), header.mtime().expect("set"))
        });
        let entries: Vec<_> = entries.collect();
        let expected = [("golden/", 0o755), ("golden/a.npy", 0o644), ("golden/b.npy", 0o644), ("w", 0o644)];
        assert_eq!(entries, expected.map(|(path, mode)| (path.to_owned(), mode, 0, 0)));
    }

    #[test]
    fn a_file_that_shrank_is_an_error_and_one_that_grew_is_cut() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let location = folder.path().join("w");
        let digest = |content: &[u8]| {
            std::fs::write(&location, content).expect("writable");
            let content = PackagedContent::File { location: location.clone(), size_bytes: 7 };
            Content::Tar(Arc::from([PackagedFile { path: "w".to_owned(), content }]))
                .measure(&mut |_| ())
                .expect("readable")
                .0
        };
        assert_eq!(digest(b"weights"), digest(b"weights and more"));
        assert_ne!(digest(b"weights"), digest(b"weigh"), "the registry refuses it by its digest");
    }

    #[test]
    fn large_files_are_layers_of_their_own() {
        let large = vec![0; SHARED_BELOW_BYTES as usize];
        let layers = layers_of(vec![file("a", b"a"), file("b", &large), file("c", b"c")]);
        let paths = layers.iter().map(|(_, content)| match content {
            Content::Tar(files) => files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(),
            Content::Bytes(_) => vec![],
        });
        assert_eq!(paths.collect::<Vec<_>>(), [vec!["a", "c"], vec!["b"]]);
    }
}
