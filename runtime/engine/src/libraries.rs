//! Where the native libraries of the backends lie on this machine.

use std::path::PathBuf;

use wisp_backends::Libraries;
use wisp_core::{BackendId, BackendReport, Device, Placement};
use wisp_model_store::{NativeLibrary, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO, Progress, Store};

/// Names the library of ONNX Runtime and wins over the cache.
const ONNX_RUNTIME_VARIABLE: &str = "WISP_ONNXRUNTIME_LIBRARY";

/// Names `libopenvino_c` and wins over the cache.
const OPENVINO_VARIABLE: &str = "WISP_OPENVINO_LIBRARY";

/// What every backend of this binary finds on this machine. Fetches nothing.
#[must_use]
pub fn devices(store: &Store) -> Vec<BackendReport> {
    wisp_backends::all(&find(store)).iter().map(|backend| backend.probe()).collect()
}

/// What is installed already; fetches nothing. ONNX Runtime with CUDA does all that the other does, so it wins.
pub(crate) fn find(store: &Store) -> Libraries {
    let named = from_environment(ONNX_RUNTIME_VARIABLE);
    let onnxruntime_cuda = if named.is_none() { store.find_library(&ONNX_RUNTIME_CUDA) } else { None };
    let onnxruntime = named.or_else(|| store.find_library(&ONNX_RUNTIME));
    let openvino = from_environment(OPENVINO_VARIABLE).or_else(|| store.find_library(&OPENVINO));
    Libraries { openvino, onnxruntime, onnxruntime_cuda }
}

/// What a placement needs, fetched if the store may.
///
/// # Errors
/// Why its library cannot be had, in one line. Whatever else is missing, the backend itself says.
pub(crate) fn ensure(store: &Store, placement: Placement, progress: &dyn Progress) -> Result<Libraries, String> {
    let mut libraries = find(store);
    let fetch = |library: &'static NativeLibrary| {
        store.ensure_library(library, progress).map(Some).map_err(|error| error.to_string())
    };
    match (placement.backend, placement.device) {
        (BackendId::OpenVino, _) if libraries.openvino.is_none() => libraries.openvino = fetch(&OPENVINO)?,
        // Hundreds of MB are worth a download only where there is a driver to use them; the backend says when there is none.
        (BackendId::Ort, Device::Gpu(_))
            if libraries.onnxruntime_cuda.is_none() && wisp_backends::has_cuda_driver() =>
        {
            if from_environment(ONNX_RUNTIME_VARIABLE).is_none() {
                libraries.onnxruntime_cuda = fetch(&ONNX_RUNTIME_CUDA)?;
            }
        }
        (BackendId::Ort, Device::Cpu) if libraries.onnxruntime.is_none() && libraries.onnxruntime_cuda.is_none() => {
            libraries.onnxruntime = fetch(&ONNX_RUNTIME)?;
        }
        _ => {}
    }
    Ok(libraries)
}

fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}
