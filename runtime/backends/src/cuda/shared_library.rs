//! Opening a shared library by name: first as the loader does, then in folders where it is known to lie.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use libloading::Library;

/// An open library.
pub(super) struct Opened {
    pub(super) library: Library,
    /// The file in a folder; `None` when the loader found it by itself.
    pub(super) path: Option<PathBuf>,
}

/// Why no library was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// There is no such file anywhere.
    Absent,
    /// There is one, and the loader does not take it: its message, with the path.
    Broken(String),
}

/// Opens the first file of this name. A broken one ends the search: whoever loads the library later would meet it as well.
pub(super) fn open(name: &str, folders: &[PathBuf]) -> Result<Opened, NotOpened> {
    match load(Path::new(name)) {
        Ok(library) => return Ok(Opened { library, path: None }),
        Err(reason) if is_about_absence(&reason, name) => {}
        Err(reason) => return Err(NotOpened::Broken(reason)),
    }
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    found.map_or(Err(NotOpened::Absent), |path| open_file(&path))
}

/// Opens exactly this file.
pub(super) fn open_file(path: &Path) -> Result<Opened, NotOpened> {
    let named = |reason: String| match path.to_str() {
        Some(text) if reason.contains(text) => reason,
        _ => format!("{}: {reason}", path.display()),
    };
    let library = load(path).map_err(|reason| NotOpened::Broken(named(reason)))?;
    Ok(Opened { library, path: Some(path.to_owned()) })
}

/// Folders as text, for messages.
pub(super) fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[expect(
    unsafe_code,
    reason = "native libraries are loaded at run time, so that one binary serves machines without them"
)]
fn load(path: &Path) -> Result<Library, String> {
    // SAFETY: loading runs the library's initialisers. The names are constants of this crate or come from the operator's
    // environment, never from a guest, a client or a model; trusting them is the same decision as linking against them.
    unsafe { Library::new(path) }.map_err(|error| match error.source() {
        // `libloading` itself says only "dlopen failed".
        Some(source) => source.to_string(),
        None => error.to_string(),
    })
}

/// The loader says the same for a missing library and for one that lacks something it depends on, but for the name.
fn is_about_absence(reason: &str, name: &str) -> bool {
    reason.contains(name) && reason.to_lowercase().contains("no such file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_broken_libraries_are_told_apart() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let folders = [folder.path().to_owned()];
        let absent = open("libwisp-absent.so.1", &folders).err();
        assert_eq!(absent, Some(NotOpened::Absent));
        let file = folder.path().join("libwisp-broken.so.1");
        std::fs::write(&file, b"not a library, and long enough to be read as one").expect("written");
        let Err(NotOpened::Broken(reason)) = open("libwisp-broken.so.1", &folders) else { panic!("is broken") };
        assert!(reason.contains(&file.display().to_string()), "{reason}");
    }

    #[test]
    fn a_missing_dependency_is_no_missing_library() {
        let reason = "libcublasLt.so.13: cannot open shared object file: No such file or directory";
        assert!(is_about_absence(reason, "libcublasLt.so.13"));
        assert!(!is_about_absence(reason, "libcublas.so.13"));
    }
}
