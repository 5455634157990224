//! Where the native libraries of the backends lie on this machine.

mod bundle;
mod probe;

use std::path::PathBuf;

use wisp_backends::Libraries;
use wisp_core::{Backend, BackendId, BackendReport, Device, DeviceReport, Placement};
use wisp_model_store::{CUDA_LIBRARIES, NativeLibrary, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO, Progress, Store};

/// Names the library of ONNX Runtime and wins over the cache.
const ONNX_RUNTIME_VARIABLE: &str = "WISP_ONNXRUNTIME_LIBRARY";

/// Names `libopenvino_c` and wins over the cache.
const OPENVINO_VARIABLE: &str = "WISP_OPENVINO_LIBRARY";

use bundle::Bundle;
pub use probe::use_probe_program;

/// Whether this program was installed with its libraries, so that it needs none of a cache.
#[must_use]
pub fn is_bundled() -> bool {
    Bundle::of_this_program().is_some()
}

/// What every backend of this binary finds on this machine; in another process, where [`use_probe_program`] named one.
/// Fetches nothing.
#[must_use]
pub fn devices(store: &Store) -> Vec<BackendReport> {
    let report = |backend: &dyn Backend| match probe::report(backend.id()) {
        None => backend.probe(),
        Some(Ok(report)) => report,
        Some(Err(reason)) => {
            let missing = Some(reason);
            let device = DeviceReport { device: Device::Cpu, name: None, missing, precisions: Vec::new() };
            BackendReport { backend: backend.id(), version: None, library: None, devices: vec![device] }
        }
    };
    wisp_backends::all(&find(store)).iter().map(|backend| report(backend.as_ref())).collect()
}

/// What one backend finds, in this process.
#[must_use]
pub fn probe_backend(store: &Store, backend: BackendId) -> Option<BackendReport> {
    wisp_backends::all(&find(store)).iter().find(|found| found.id() == backend).map(|found| found.probe())
}

/// What is installed already; fetches nothing.
fn find(store: &Store) -> Libraries {
    BackendId::ALL.into_iter().fold(Libraries::default(), |libraries, backend| find_for(store, backend, libraries))
}

/// The library of one backend, as far as it is installed: looking at the files of the others costs a start some
/// milliseconds. ONNX Runtime with CUDA does all that the other does, so it wins.
fn find_for(store: &Store, backend: BackendId, others: Libraries) -> Libraries {
    if let Some(libraries) = Bundle::of_this_program().and_then(|bundle| bundled(&bundle, backend, &others)) {
        return libraries;
    }
    let named = named(backend);
    match backend {
        BackendId::OpenVino => Libraries { openvino: named.or_else(|| store.find_library(&OPENVINO)), ..others },
        BackendId::Ort => {
            let onnxruntime_cuda = if named.is_none() { store.find_library(&ONNX_RUNTIME_CUDA) } else { None };
            let onnxruntime = named.or_else(|| store.find_library(&ONNX_RUNTIME));
            let folder = |library| store.find_library(library).and_then(|file| Some(file.parent()?.to_owned()));
            // Without a build for CUDA nothing loads them.
            let cuda = onnxruntime_cuda.iter().flat_map(|_| CUDA_LIBRARIES.into_iter().filter_map(folder)).collect();
            Libraries { onnxruntime, onnxruntime_cuda, cuda, ..others }
        }
        BackendId::Candle => others,
    }
}

/// The library of one backend in the bundle; `None` where it has none.
fn bundled(bundle: &Bundle, backend: BackendId, others: &Libraries) -> Option<Libraries> {
    match backend {
        BackendId::OpenVino => {
            let openvino = bundle.library("openvino", &OPENVINO)?;
            Some(Libraries { openvino: Some(openvino), ..others.clone() })
        }
        BackendId::Ort => {
            let onnxruntime = bundle.library("onnxruntime", &ONNX_RUNTIME);
            let onnxruntime_cuda = bundle.library("onnxruntime-cuda", &ONNX_RUNTIME_CUDA);
            let cuda = bundle.cuda().into_iter().collect();
            let is_there = onnxruntime.is_some() || onnxruntime_cuda.is_some();
            is_there.then(|| Libraries { onnxruntime, onnxruntime_cuda, cuda, ..others.clone() })
        }
        BackendId::Candle => None,
    }
}

/// What a placement needs, fetched if the store may.
///
/// # Errors
/// Why its library cannot be had, in one line. Whatever else is missing, the backend itself says.
pub(crate) fn ensure(store: &Store, placement: Placement, progress: &dyn Progress) -> Result<Libraries, String> {
    let mut libraries = find_for(store, placement.backend, Libraries::default());
    let fetch = |library: &'static NativeLibrary| {
        store.ensure_library(library, progress).map(Some).map_err(|error| error.to_string())
    };
    match (placement.backend, placement.device) {
        (BackendId::OpenVino, _) if libraries.openvino.is_none() => libraries.openvino = fetch(&OPENVINO)?,
        // Hundreds of MB are worth a download only where there is a driver to use them; the backend says when there is none.
        (BackendId::Ort, Device::Gpu(_))
            if libraries.onnxruntime_cuda.is_none()
                && named(BackendId::Ort).is_none()
                && wisp_backends::has_cuda_driver() =>
        {
            libraries.onnxruntime_cuda = fetch(&ONNX_RUNTIME_CUDA)?;
        }
        (BackendId::Ort, Device::Cpu) if libraries.onnxruntime.is_none() && libraries.onnxruntime_cuda.is_none() => {
            libraries.onnxruntime = fetch(&ONNX_RUNTIME)?;
        }
        _ => {}
    }
    if is_unknown(placement) {
        probe::report(placement.backend).transpose().map_err(|reason| match named(placement.backend) {
            Some(path) => format!("{}: {reason}", path.display()),
            None => reason,
        })?;
    }
    Ok(libraries)
}

/// Whether what is loaded for a placement may crash: a library that somebody named, or drivers that come with a device. What
/// lies in the cache is known by digest, and on the processor it needs nothing else.
fn is_unknown(placement: Placement) -> bool {
    named(placement.backend).is_some() || (placement.backend != BackendId::Candle && placement.device != Device::Cpu)
}

/// The library that the environment names for a backend.
fn named(backend: BackendId) -> Option<PathBuf> {
    match backend {
        BackendId::OpenVino => from_environment(OPENVINO_VARIABLE),
        BackendId::Ort => from_environment(ONNX_RUNTIME_VARIABLE),
        BackendId::Candle => None,
    }
}

fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}
