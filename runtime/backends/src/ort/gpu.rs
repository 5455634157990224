//! The CUDA execution provider: what it needs, and how a session uses it.
//!
//! ONNX Runtime loads it at run time from beside its own library, so neither building nor starting Wisp needs CUDA.

use std::io::Read;
use std::path::{Path, PathBuf};

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProvider, ExecutionProviderDispatch};
use wisp_core::{BackendError, BackendId, Device, DeviceReport, LoadRequest, Precision};

use super::library::Library;
use crate::cuda::{self, CudaLibrary, CudaNeeds, CudaVersion, Gpu};

/// The provider's name in ONNX Runtime.
pub(super) const PROVIDER: &str = "CUDAExecutionProvider";

/// Precisions that files for the GPU may have.
pub(super) const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::F16];

const PROVIDER_FILES: [&str; 2] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

const WHEEL: &str =
    "use the library of the Python package onnxruntime-gpu, with everything beside it, in WISP_ONNXRUNTIME_LIBRARY";

/// What `readelf -d libonnxruntime_providers_cuda.so` of onnxruntime-gpu 1.31.1 names, without libcuda and the C library; and
/// cuDNN, which that version loads by name on first use and which convolutions and normalisations fail without. (cuFFT is
/// loaded in the same way, for Fourier transforms alone; a graph without them runs without it.)
const LIBRARIES: [CudaLibrary; 5] = [
    CudaLibrary { soname: "libcudart.so.13", package: "nvidia-cuda-runtime" },
    CudaLibrary { soname: "libcublasLt.so.13", package: "nvidia-cublas" },
    CudaLibrary { soname: "libcublas.so.13", package: "nvidia-cublas" },
    CudaLibrary { soname: "libcurand.so.10", package: "nvidia-curand" },
    CudaLibrary { soname: "libcudnn.so.9", package: "nvidia-cudnn-cu13" },
];

/// What was found for the GPU.
pub(super) struct Gpus {
    devices: Vec<Gpu>,
    missing: Option<String>,
}

/// Looks for everything that a GPU session needs, in the order in which it is needed: driver, CUDA libraries, a build of ONNX
/// Runtime with CUDA, its provider. `library` is what opening ONNX Runtime led to, `path` where it lies or should, `cuda` where
/// NVIDIA's libraries were put for it.
pub(super) fn find(library: Result<&Library, String>, path: Option<&Path>, cuda: &[PathBuf]) -> Gpus {
    let folder = path.and_then(Path::parent);
    let needs = CudaNeeds {
        version: CudaVersion { major: 13, minor: 0 },
        libraries: &LIBRARIES,
        folders: library_folders(cuda, folder),
    };
    let finding = cuda::look(&needs);
    let missing = match (finding.missing, library) {
        (Some(missing), Ok(_)) => Some(missing.to_string()),
        // Who has neither should not have to come back for the second.
        (Some(missing), Err(library)) => Some(format!("{missing}; moreover, {library}")),
        (None, library) => library.and_then(check_provider).err(),
    };
    Gpus { devices: finding.gpus, missing }
}

impl Gpus {
    /// A row for every device; one for `gpu:0` when there is none, because a reader wants to know why.
    pub(super) fn report(&self) -> Vec<DeviceReport> {
        let row = |index: u32, name: Option<String>| DeviceReport {
            device: Device::Gpu(index),
            name,
            missing: self.missing.clone(),
            precisions: PRECISIONS.to_vec(),
        };
        if self.devices.is_empty() {
            return vec![row(0, None)];
        }
        (0..).zip(&self.devices).map(|(index, gpu)| row(index, Some(gpu.to_string()))).collect()
    }

    /// Whether a session can run on this GPU.
    pub(super) fn check(&self, index: u32) -> Result<(), BackendError> {
        let reason = match &self.missing {
            Some(missing) => missing.clone(),
            None if self.devices.len() <= index as usize => {
                let names: Vec<_> = self.devices.iter().map(ToString::to_string).collect();
                format!("there are {}: {}; number them from gpu:0", names.len(), names.join(", "))
            }
            None => return Ok(()),
        };
        Err(BackendError::Device { backend: BackendId::Ort, device: Device::Gpu(index), reason })
    }
}

/// The provider for a request; its registration fails when it cannot be used.
pub(super) fn provider(index: u32, request: &LoadRequest<'_>) -> Result<ExecutionProviderDispatch, BackendError> {
    let out_of_range = |what: String| BackendError::Unsupported { backend: BackendId::Ort, what };
    let device_id = i32::try_from(index).map_err(|_| out_of_range(format!("device gpu:{index}")))?;
    let mut provider = CUDA::default()
        .with_device_id(device_id)
        // Doubling would take up to twice of what the model needs from whoever shares the device.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // The exhaustive search runs every algorithm for every new shape, and shapes change with each batch.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // TF32 keeps 10 bits of the mantissa: whoever asks for f32 gets f32.
        .with_tf32(false);
    if let Some(bytes) = request.memory_limit_bytes {
        let limit = usize::try_from(bytes).map_err(|_| out_of_range(format!("a memory limit of {bytes} bytes")))?;
        // The arena's limit; the CUDA context and the workspaces of cuBLAS and cuDNN come on top, some hundred MiB.
        provider = provider.with_memory_limit(limit);
    }
    Ok(provider.build().error_on_failure())
}

/// Where CUDA libraries lie when the loader does not know them: where they were put, beside ONNX Runtime, in the folders of
/// NVIDIA's Python packages next to that of onnxruntime-gpu, and in the toolkit's default folder.
fn library_folders(cuda: &[PathBuf], onnxruntime: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = cuda.to_vec();
    if let Some(folder) = onnxruntime {
        folders.push(folder.to_owned());
        if let Some(packages) = folder.ancestors().nth(2) {
            folders.push(packages.join("nvidia/cu13/lib"));
            folders.push(packages.join("nvidia/cudnn/lib"));
        }
    }
    folders.push(PathBuf::from("/usr/local/cuda/lib64"));
    folders
}

fn check_provider(library: &Library) -> Result<(), String> {
    let path = library.path.display();
    let folder = library.path.parent().unwrap_or(Path::new("."));
    if !CUDA::is_available().map_err(|error| error.to_string())? {
        return Err(format!(
            "{path} is a build of ONNX Runtime without CUDA, and a process has one ONNX Runtime; {WHEEL}"
        ));
    }
    for file in PROVIDER_FILES {
        if !folder.join(file).is_file() {
            return Err(format!("{file} is not beside {path}; {WHEEL}"));
        }
    }
    let provider = folder.join(PROVIDER_FILES[1]);
    match holds_text(&provider, &library.version) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(format!("{} does not belong to ONNX Runtime {}; {WHEEL}", provider.display(), library.version))
        }
        Err(error) => Err(format!("{}: {error}", provider.display())),
    }
}

/// Whether a file holds `text` between two zero bytes, as C keeps its constants: the provider exports no version, and the core
/// takes any that loads. Version 1.31.1 has it at byte 60 million of 284.
fn holds_text(file: &Path, text: &str) -> std::io::Result<bool> {
    const CHUNK_BYTES: usize = 1 << 20;
    let needle = [b"\0", text.as_bytes(), b"\0"].concat();
    let mut file = std::fs::File::open(file)?;
    let mut window = Vec::new();
    loop {
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut window)?;
        if read == 0 {
            return Ok(false);
        }
        // `memchr`-like: most bytes of code and tables are no zero followed by a digit.
        if window.windows(needle.len()).any(|part| part[1] == needle[1] && part == needle) {
            return Ok(true);
        }
        // The end of this chunk may be the start of the text.
        let tail = window.len().saturating_sub(needle.len() - 1);
        window.drain(..tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(count: usize, missing: Option<&str>) -> Gpus {
        let gpu = Gpu { name: "NVIDIA T4".to_owned(), memory_bytes: 16 << 30 };
        Gpus { devices: vec![gpu; count], missing: missing.map(str::to_owned) }
    }

    #[test]
    fn there_is_always_a_row_for_the_gpu() {
        let nothing = gpus(0, Some("no NVIDIA driver was found")).report();
        assert_eq!((nothing.len(), nothing[0].device), (1, Device::Gpu(0)));
        assert_eq!(nothing[0].missing.as_deref(), Some("no NVIDIA driver was found"));
        let two = gpus(2, None).report();
        assert_eq!([two[0].device, two[1].device], [Device::Gpu(0), Device::Gpu(1)]);
        assert_eq!(two[1].name.as_deref(), Some("NVIDIA T4 (16.0 GiB)"));
    }

    #[test]
    fn a_gpu_that_does_not_exist_is_refused() {
        gpus(2, None).check(1).expect("exists");
        let error = gpus(1, None).check(1).expect_err("does not exist").to_string();
        assert!(error.contains("`gpu:1`") && error.contains("there are 1: NVIDIA T4 (16.0 GiB)"), "{error}");
    }

    #[test]
    fn a_text_is_found_across_chunks() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let mut content = vec![7_u8; (1 << 20) - 3];
        content.extend_from_slice(b"\x001.31.1\0rest");
        std::fs::write(file.path(), content).expect("written");
        assert!(holds_text(file.path(), "1.31.1").expect("readable"));
        assert!(!holds_text(file.path(), "1.31").expect("readable"), "a prefix is another version");
        assert!(!holds_text(file.path(), "1.31.2").expect("readable"));
    }
}
