//! Unpacks the layers of a model image into a folder, without trusting what they say.
//!
//! Only plain files and folders are written, under paths that stay inside; no link is ever made, so none can be followed. Images
//! whose layers replace or delete files of earlier ones are refused: a model has no use for that.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::RegistryError;
use crate::document::media;

/// Most entries of all layers together.
const ENTRY_LIMIT: usize = 10_000;

/// Unpacks layer after layer into one folder, within one limit.
pub(crate) struct Unpacker<'a> {
    reference: String,
    folder: &'a Path,
    limit_bytes: u64,
    written_bytes: u64,
    entries: usize,
    files: BTreeSet<PathBuf>,
}

/// Whether a layer of this type can be unpacked.
pub(crate) fn is_tar(media_type: &str) -> bool {
    matches!(media_type, media::TAR | media::TAR_GZIP | media::DOCKER_TAR | media::DOCKER_TAR_GZIP)
}

impl<'a> Unpacker<'a> {
    /// Unpacks into this folder, which is empty, and writes no more than the limit.
    pub(crate) fn new(reference: String, folder: &'a Path, limit_bytes: u64) -> Self {
        Self { reference, folder, limit_bytes, written_bytes: 0, entries: 0, files: BTreeSet::new() }
    }

    /// Unpacks a verified layer; `advance` hears of bytes that were written.
    pub(crate) fn layer(
        &mut self,
        layer: &Path,
        media_type: &str,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError> {
        let file = File::open(layer).map_err(RegistryError::io("read", layer))?;
        let reader: Box<dyn Read> = match media_type {
            media::TAR_GZIP | media::DOCKER_TAR_GZIP => Box::new(MultiGzDecoder::new(io::BufReader::new(file))),
            _ => Box::new(io::BufReader::new(file)),
        };
        let mut archive = Archive::new(reader);
        let damaged = |error: io::Error| RegistryError::Unsupported {
            reference: self.reference.clone(),
            found: format!("a layer is no readable tar archive: {error}"),
        };
        for entry in archive.entries().map_err(&damaged)? {
            let entry = entry.map_err(|error| RegistryError::Unsupported {
                reference: self.reference.clone(),
                found: format!("a layer is no readable tar archive: {error}"),
            })?;
            self.entry(entry, advance)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        mut entry: tar::Entry<'_, impl Read>,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused =
            |reason| RegistryError::UnsafeEntry { reference: self.reference.clone(), entry: name.clone(), reason };
        self.entries += 1;
        if self.entries > ENTRY_LIMIT {
            return Err(refused("there are more than 10000 entries"));
        }
        let path = inside(&name).map_err(&refused)?;
        let is_folder = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => false,
            EntryType::Directory => true,
            EntryType::XGlobalHeader => return Ok(()),
            EntryType::Symlink | EntryType::Link => return Err(refused("it is a link")),
            EntryType::Char | EntryType::Block => return Err(refused("it is a device")),
            _ => return Err(refused("it is neither a file nor a folder")),
        };
        let Some(path) = path else {
            return if is_folder { Ok(()) } else { Err(refused("it is a file without a name")) };
        };
        let target = self.folder.join(&path);
        if is_folder {
            return fs::create_dir_all(&target).map_err(RegistryError::io("create", &target));
        }
        if !self.files.insert(path) {
            return Err(refused("it is there twice"));
        }
        let left_bytes = self.limit_bytes.saturating_sub(self.written_bytes);
        if entry.size() > left_bytes {
            return Err(self.too_large(entry.size()));
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(RegistryError::io("create", parent))?;
        }
        let mut file = File::create_new(&target).map_err(RegistryError::io("create", &target))?;
        let mut writer = Advancing { file: &mut file, advance };
        // No more than is left, whatever the header says.
        let written = io::copy(&mut (&mut entry).take(left_bytes), &mut writer);
        self.written_bytes += written.map_err(RegistryError::io("unpack", &target))?;
        file.sync_all().map_err(RegistryError::io("write", &target))
    }

    fn too_large(&self, size_bytes: u64) -> RegistryError {
        let size_bytes = self.written_bytes.saturating_add(size_bytes);
        RegistryError::TooLarge {
            what: format!("{} unpacked", self.reference),
            size_bytes,
            limit_bytes: self.limit_bytes,
        }
    }
}

/// The path of an entry as a path below a folder; `None` for the folder itself.
fn inside(name: &str) -> Result<Option<PathBuf>, &'static str> {
    let mut path = PathBuf::new();
    if name.contains(['\\', '\0']) || name.contains('\u{fffd}') {
        return Err("its name has characters that names of model files never have");
    }
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) if part.to_string_lossy().starts_with(".wh.") => {
                return Err("it deletes a file of an earlier layer");
            }
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("its path climbs out with `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("its path is absolute"),
        }
    }
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

/// Counts what is written.
struct Advancing<'a> {
    file: &'a mut File,
    advance: &'a mut dyn FnMut(u64),
}

impl io::Write for Advancing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        (self.advance)(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
