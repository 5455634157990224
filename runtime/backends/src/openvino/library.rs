//! Opening the shared library of OpenVINO once per process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use openvino::{Core, SetupError};
use wisp_core::BackendError;

/// The oldest release whose C interface has every function that is called here.
const OLDEST_YEAR: u32 = 2024;

/// Names the library for messages and wins over the cache.
const REMEDY: &str = "fetch it with `wisp models pull`, or name libopenvino_c in WISP_OPENVINO_LIBRARY";

/// The library, open until the process ends.
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

static LIBRARY: Mutex<Option<&'static Library>> = Mutex::new(None);

/// Opens the library at `path`, or returns the one that is open already: a process has one OpenVINO.
///
/// A failed attempt leaves no trace, so that a later one with a good path can succeed; only a library that is too old stays
/// open, because the bindings know no way to close it.
pub(super) fn open(path: Option<&Path>) -> Result<&'static Library, BackendError> {
    // A panic while the lock was held cannot have left a half-made value behind: the slot is written last.
    let mut slot = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = *slot {
        return Ok(library);
    }
    let path = path.ok_or_else(|| unavailable(format!("no library was found; {REMEDY}")))?;
    // Plugins are looked for beside the library for as long as the process lives: a link to it may be gone by then.
    let path = path.canonicalize().map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
    check_exports(&path)?;
    openvino_sys::library::load_from(path.clone()).map_err(unavailable)?;
    let version = checked_version(&path, &openvino::version().build_number)?;
    let library: &'static Library = Box::leak(Box::new(Library { path, version }));
    *slot = Some(library);
    Ok(library)
}

impl Library {
    /// A core of its own for each session: properties belong to a core, and one session's must not reach another's.
    #[expect(clippy::unused_self, reason = "a core exists only where the library was opened")]
    pub(super) fn core(&self) -> Result<Core, BackendError> {
        Core::new().map_err(|error| match error {
            SetupError::Inference(error) => unavailable(super::message(&error)),
            SetupError::Loading(error) => unavailable(error.to_string()),
        })
    }
}

fn unavailable(reason: impl Into<String>) -> BackendError {
    BackendError::Library { library: "OpenVINO", reason: reason.into() }
}

/// Refuses a file that is no OpenVINO before the bindings take it: they look functions up once, and panic at the first call
/// of one that is not there.
#[expect(unsafe_code, reason = "whether a shared library exports a function is only known once it is open")]
fn check_exports(path: &Path) -> Result<(), BackendError> {
    let broken = |reason: String| unavailable(format!("{}: {reason}", path.display()));
    // SAFETY: opening a shared library runs its initialisers. The path comes from the configuration or from the verified
    // cache, never from a guest or a client; trusting it is the decision of whoever wrote that path.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| broken(error.to_string()))?;
    for name in ["ov_get_openvino_version", "ov_core_create", "ov_infer_request_wait_for"] {
        // SAFETY: the symbol is looked up and never called through this type.
        let found = unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) };
        found.map_err(|_| broken(format!("not the C library of OpenVINO: it does not export {name}")))?;
    }
    Ok(())
}

/// `2026.4.1` out of `2026.4.1-22982-…`.
fn checked_version(path: &Path, build_number: &str) -> Result<String, BackendError> {
    let version = build_number.split('-').next().unwrap_or(build_number).to_owned();
    let year = version.split('.').next().and_then(|year| year.parse::<u32>().ok());
    match year {
        Some(year) if year >= OLDEST_YEAR => Ok(version),
        _ => Err(unavailable(format!(
            "{}: version {build_number} is too old, {OLDEST_YEAR}.0 or newer is needed; {REMEDY}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_names_the_file() {
        let error = check_exports(Path::new("/nonexistent/libopenvino_c.so")).expect_err("is not there");
        assert!(error.to_string().starts_with("OpenVINO is not available: /nonexistent/libopenvino_c.so: "), "{error}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("libopenvino_c.so");
        std::fs::write(&file, b"not an ELF file").expect("written");
        let error = check_exports(&file).expect_err("is no library");
        assert!(error.to_string().contains("libopenvino_c.so"), "{error}");
    }

    #[test]
    fn old_versions_are_named_and_refused() {
        let path = Path::new("/opt/libopenvino_c.so");
        assert_eq!(checked_version(path, "2026.4.1-22982-0a1b").expect("new enough"), "2026.4.1");
        let error = checked_version(path, "2023.3.0-1-x").expect_err("too old").to_string();
        assert!(error.contains("version 2023.3.0-1-x is too old"), "{error}");
        checked_version(path, "custom").expect_err("says nothing");
    }
}
