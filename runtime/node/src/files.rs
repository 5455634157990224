//! Files that are there whole or not at all.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::NodeError;

/// Everybody reads, root writes.
const FILE_MODE: u32 = 0o644;

/// Writes a file in place of what lies there, whose mode it takes; what reads it meanwhile sees the one or the other.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), NodeError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(NodeError::io("create", folder))?;
    let mode = std::fs::metadata(path).map_or(FILE_MODE, |found| found.permissions().mode() & 0o7777);
    let mut file = tempfile::Builder::new()
        .prefix(".wisp-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(NodeError::io("write into", folder))?;
    let written = file.write_all(content).and_then(|()| file.as_file().sync_all());
    written.map_err(NodeError::io("write", path))?;
    file.persist(path).map_err(|error| NodeError::io("replace", path)(error.error))?;
    sync(folder);
    Ok(())
}

/// Lets a link lead elsewhere; at every moment it leads somewhere.
pub(crate) fn link(path: &Path, target: &Path) -> Result<(), NodeError> {
    let fresh = path.with_extension("next");
    remove(&fresh)?;
    symlink(target, &fresh).map_err(NodeError::io("create", &fresh))?;
    std::fs::rename(&fresh, path).map_err(NodeError::io("replace", path))?;
    path.parent().map(sync);
    Ok(())
}

/// Removes a file or link, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), NodeError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(NodeError::io("delete", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if there is one.
pub(crate) fn remove_folder(path: &Path) -> Result<(), NodeError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(NodeError::io("delete", path)(error)),
        _ => Ok(()),
    }
}

/// The text of a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, NodeError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NodeError::io("read", path)(error)),
    }
}

/// Names survive a power cut only when their folder was written. A file system that cannot do that has no such promise to keep.
pub(crate) fn sync(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(%error, folder = %folder.display(), "a folder cannot be synced");
    }
}
