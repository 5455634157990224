//! Opening the shared library of ONNX Runtime once per process.

use std::error::Error as _;
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

/// The oldest version that has the interface of `ort`'s feature `api-22`.
const OLDEST: &str = "1.22";

const REMEDY: &str = "fetch 1.31 with `wisp models pull`, or name another in WISP_ONNXRUNTIME_LIBRARY";

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
pub(super) fn log(level: LogLevel, category: &str, _id: &str, _code: &str, message: &str) {
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
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
        // `libloading` itself says only "dlopen failed".
        broken(error.source().map_or_else(|| error.to_string(), ToString::to_string))
    })?;
    // SAFETY: `OrtGetApiBase` is the one exported entry point of the C API and has had this type since version 1.0.
    let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase") }
        .map_err(|_| broken("not an ONNX Runtime library: it does not export OrtGetApiBase".to_owned()))?;
    // SAFETY: the entry point takes no argument, returns a pointer to a static, and has no precondition.
    let base = unsafe { entry().as_ref() }.ok_or_else(|| broken("OrtGetApiBase returned null".to_owned()))?;
    // SAFETY: GetVersionString returns a static, zero-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) };
    let version = version.to_string_lossy().into_owned();
    if !is_new_enough(&version) {
        return Err(broken(format!("it is version {version}, and {OLDEST} or newer is needed; {REMEDY}")));
    }
    // SAFETY: GetApi takes any version and returns a pointer to a static, or null for versions that it does not know.
    if unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) }.is_null() {
        return Err(broken(format!("version {version} lacks the interface of {OLDEST}; {REMEDY}")));
    }
    Ok(version)
}

/// Whether a version such as `1.31.1` has the interface that this build was made for.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    matches!((parts.next().flatten(), parts.next().flatten()), (Some(1), Some(minor)) if minor >= ort::MINOR_VERSION)
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
    #[cfg(target_os = "linux")]
    fn a_library_that_is_too_old_is_named_with_both_versions() {
        const SOURCE: &str = r#"
            struct base { const void *(*get_api)(unsigned int); const char *(*get_version)(void); };
            static const void *get_api(unsigned int version) { return 0; }
            static const char *get_version(void) { return VERSION; }
            static const struct base base = { get_api, get_version };
            const struct base *OrtGetApiBase(void) { return &base; }
        "#;
        let test = "a_library_that_is_too_old_is_named_with_both_versions";
        let folder = tempfile::tempdir().expect("temporary folder");
        let source = folder.path().join("stub.c");
        std::fs::write(&source, SOURCE).expect("written");
        for (version, part) in [
            ("1.20.1", "it is version 1.20.1, and 1.22 or newer is needed; "),
            ("1.31.1", "version 1.31.1 lacks the interface of 1.22; "),
        ] {
            let library = folder.path().join(format!("libonnxruntime.so.{version}"));
            let mut compiler = std::process::Command::new("cc");
            compiler
                .args(["-shared", "-fPIC", "-w", &format!("-DVERSION=\"{version}\""), "-o"])
                .arg(&library)
                .arg(&source);
            let Ok(output) = compiler.output() else {
                return wisp_testing::skip(test, "there is no C compiler `cc`");
            };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let error = version_of(&library).expect_err("is no usable library").to_string();
            assert!(error.contains(&format!("{}: {part}", library.display())), "{error}");
            assert!(error.contains("WISP_ONNXRUNTIME_LIBRARY"), "{error}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(OLDEST.ends_with(&format!(".{}", ort::MINOR_VERSION)), "{OLDEST} is what `ort` is built for");
        for (version, expected) in
            [("1.22.0", true), ("1.31.1", true), ("1.9.0", false), ("1.21.9", false), ("x", false)]
        {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
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
