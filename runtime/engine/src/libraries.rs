//! Where the native libraries of the backends lie on this machine.

use std::path::PathBuf;

use wisp_backends::Libraries;
use wisp_core::{BackendId, BackendReport};
use wisp_model_store::{ONNX_RUNTIME, Progress, Store};

use crate::ModelConfig;

/// Names the library of ONNX Runtime and wins over the cache.
const ONNX_RUNTIME_VARIABLE: &str = "WISP_ONNXRUNTIME_LIBRARY";

/// What every backend of this binary finds on this machine. Fetches nothing.
#[must_use]
pub fn devices(store: &Store) -> Vec<BackendReport> {
    wisp_backends::all(&find(store)).iter().map(|backend| backend.probe()).collect()
}

/// What is installed already; fetches nothing.
pub(crate) fn find(store: &Store) -> Libraries {
    Libraries { onnxruntime: from_environment().or_else(|| store.find_library(&ONNX_RUNTIME)) }
}

/// What the placements of these models need, fetched if the store may.
///
/// A library that cannot be had is no failure here: the placement that needs it fails, and says so, and the next one in
/// its list is tried.
pub(crate) fn ensure<'a>(
    store: &Store,
    models: impl IntoIterator<Item = &'a ModelConfig>,
    progress: &dyn Progress,
) -> Libraries {
    let wants_ort =
        models.into_iter().flat_map(|model| &model.placement).any(|placement| placement.backend == BackendId::Ort);
    let mut libraries = find(store);
    if wants_ort && libraries.onnxruntime.is_none() {
        match store.ensure_library(&ONNX_RUNTIME, progress) {
            Ok(path) => libraries.onnxruntime = Some(path),
            Err(error) => tracing::warn!(%error, "ONNX Runtime cannot be fetched"),
        }
    }
    libraries
}

fn from_environment() -> Option<PathBuf> {
    std::env::var_os(ONNX_RUNTIME_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}
