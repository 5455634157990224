//! Opening the shared library of ONNX Runtime once per process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::logging::LogLevel;
use wisp_core::BackendError;

/// The library and its environment, alive until the process ends.
pub(super) struct Library {
    pub(super) environment: Environment,
    pub(super) path: PathBuf,
    pub(super) version: String,
}

static LIBRARY: Mutex<Option<&'static Library>> = Mutex::new(None);

/// Opens the library at `path`, or returns the one that is open already: a process has one ONNX Runtime.
///
/// A failed attempt leaves no trace, so that a later one with a good path can succeed.
pub(super) fn open(path: Option<&Path>) -> Result<&'static Library, BackendError> {
    // A panic while the lock was held cannot have left a half-made value behind: the slot is written last.
    let mut slot = LIBRARY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(library) = *slot {
        return Ok(library);
    }
    let path = path.ok_or_else(|| {
        unavailable("no library was found; fetch it with `wisp models pull`, or name it in WISP_ONNXRUNTIME_LIBRARY")
    })?;
    let version = version_of(path)?;
    let environment = ort::init_from(path)
        .map_err(|error| unavailable(error.to_string()))?
        .with_name("wisp")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| unavailable(error.to_string()))?;
    // Leaked on purpose: ONNX Runtime must not be unloaded while threads of its pools may run, and `ort` allows one
    // environment per process, so there is nothing to replace it with.
    let library: &'static Library = Box::leak(Box::new(Library { environment, path: path.to_owned(), version }));
    *slot = Some(library);
    Ok(library)
}

/// The library's own log, into ours. What fails is also returned as an error, to whoever caused it: a guest that sends bad
/// values must not be able to fill the operator's log, so nothing but a fatal fault is loud here.
fn log(level: LogLevel, category: &str, _id: &str, _code: &str, message: &str) {
    match level {
        LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, "{message}"),
        LogLevel::Error | LogLevel::Warning => tracing::debug!(target: "onnxruntime", category, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, "{message}"),
    }
}

fn unavailable(reason: impl Into<String>) -> BackendError {
    BackendError::Library { library: "ONNX Runtime", reason: reason.into() }
}

/// The library's own version, such as `1.31.1`.
#[expect(unsafe_code, reason = "the `ort` crate does not expose the version string of a library loaded at run time")]
fn version_of(path: &Path) -> Result<String, BackendError> {
    let broken = |reason: String| unavailable(format!("{}: {reason}", path.display()));
    // SAFETY: opening a shared library runs its initialisers. The path comes from the configuration or from the verified
    // cache, never from a guest or a client; trusting it is the same decision as `ort::init_from` above.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| broken(error.to_string()))?;
    // SAFETY: `OrtGetApiBase` is the one exported entry point of the C API and has had this type since version 1.0.
    let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase") }
        .map_err(|_| broken("not an ONNX Runtime library: it does not export OrtGetApiBase".to_owned()))?;
    // SAFETY: the entry point takes no argument, returns a pointer to a static, and has no precondition.
    let base = unsafe { entry().as_ref() }.ok_or_else(|| broken("OrtGetApiBase returned null".to_owned()))?;
    // SAFETY: GetVersionString returns a static, zero-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) };
    Ok(version.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_says_what_to_do() {
        let error = version_of(Path::new("/nonexistent/libonnxruntime.so")).expect_err("is not there");
        assert!(error.to_string().starts_with("ONNX Runtime is not available: /nonexistent/libonnxruntime.so: "));
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("libonnxruntime.so");
        std::fs::write(&file, b"not an ELF file").expect("written");
        let error = version_of(&file).expect_err("is no library");
        assert!(error.to_string().contains("libonnxruntime.so"), "{error}");
    }
}
