//! A layer of an image: a tar archive whose bytes depend on nothing but the files in it.

use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// A layer in the making.
pub(crate) struct Layer {
    archive: Builder<Vec<u8>>,
}

impl Layer {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { archive: Builder::new(Vec::new()) }
    }

    /// Adds a folder.
    pub(crate) fn folder(mut self, path: &str) -> Result<Self> {
        self.append(path, EntryType::Directory, 0o755, &[])?;
        Ok(self)
    }

    /// Adds a file with these permissions.
    pub(crate) fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<Self> {
        self.append(path, EntryType::Regular, mode, bytes)?;
        Ok(self)
    }

    /// Adds a file of this machine.
    pub(crate) fn copy(self, path: &str, mode: u32, from: &Path) -> Result<Self> {
        let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(path, mode, &bytes)
    }

    /// The archive's bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        self.archive.into_inner().context("cannot finish a layer")
    }

    fn append(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.archive.append_data(&mut header, path, bytes).with_context(|| format!("cannot add {path} to a layer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let layer = || {
            let layer = Layer::new().folder("models").and_then(|layer| layer.file("models/a", 0o644, b"weights"));
            layer.and_then(Layer::finish).expect("names and sizes fit an archive")
        };
        assert_eq!(layer(), layer());
        let read = layer();
        let mut archive = tar::Archive::new(read.as_slice());
        let entries = archive.entries().expect("it is an archive").map(|entry| entry.expect("an entry").size());
        assert_eq!(entries.collect::<Vec<_>>(), [0, 7]);
    }
}
