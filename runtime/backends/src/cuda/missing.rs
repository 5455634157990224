//! The first thing that a machine lacks for CUDA programs, and the remedy.

use std::path::PathBuf;

use super::CudaVersion;
use super::driver::DRIVER_VARIABLE;

/// What is missing. Nothing of this is a fault of the program: a machine without a GPU ends here, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CudaMissing {
    /// The driver's library is nowhere.
    #[error(
        "no NVIDIA driver was found: libcuda.so.1 is neither known to the loader nor in {searched}; install the driver \
         (in a pod, request nvidia.com/gpu, with NVIDIA's device plugin set to cdi-cri), or name its library in {DRIVER_VARIABLE}"
    )]
    NoDriver {
        /// Folders that were looked into.
        searched: String,
    },
    /// The file that stands for the driver cannot be loaded.
    #[error(
        "the NVIDIA driver cannot be loaded: {reason}; reinstall the driver, or name its library in {DRIVER_VARIABLE}"
    )]
    BrokenDriver {
        /// The loader's own message, with the path.
        reason: String,
    },
    /// A library, but not the driver.
    #[error("{} is no NVIDIA driver: it lacks `{symbol}`; name the driver's libcuda.so.1 in {DRIVER_VARIABLE}", .path.display())]
    NoSymbol {
        /// The library.
        path: PathBuf,
        /// The function that is not there.
        symbol: &'static str,
    },
    /// The driver answers with an error.
    #[error("{}: {call} failed with error {code} ({name}); {remedy}", .path.display())]
    Call {
        /// The driver's library.
        path: PathBuf,
        /// The function that failed.
        call: &'static str,
        /// Its result, a `CUresult`.
        code: i32,
        /// The name of that result.
        name: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The driver works and has no device.
    #[error("{}: the driver has no device; check `nvidia-smi -L` and CUDA_VISIBLE_DEVICES", .path.display())]
    NoDevice {
        /// The driver's library.
        path: PathBuf,
    },
    /// The driver is older than what the program was built for.
    #[error(
        "{}: the driver supports CUDA {found}, and CUDA {needed} is needed; update the NVIDIA driver (580 or newer has CUDA 13)",
        .path.display()
    )]
    OldDriver {
        /// The driver's library.
        path: PathBuf,
        /// What the driver supports.
        found: CudaVersion,
        /// What is needed.
        needed: CudaVersion,
    },
    /// A library of the toolkit is nowhere.
    #[error(
        "{soname} is missing: it is neither known to the loader nor in {searched}; fetch it with `wisp models pull MODEL --cuda`, \
         or install the CUDA toolkit or the Python package {package} and put its folder on LD_LIBRARY_PATH"
    )]
    NoLibrary {
        /// The library.
        soname: &'static str,
        /// The package that carries it.
        package: &'static str,
        /// Folders that were looked into.
        searched: String,
    },
    /// A library of the toolkit cannot be loaded.
    #[error("{soname} cannot be loaded: {reason}; reinstall the CUDA toolkit or the Python package {package}")]
    BrokenLibrary {
        /// The library.
        soname: &'static str,
        /// The package that carries it.
        package: &'static str,
        /// The loader's own message, with the path.
        reason: String,
    },
}

/// The name of a `CUresult` of `cuda.h`, for drivers that fail before they can name it themselves.
pub(super) const fn result_name(code: i32) -> &'static str {
    match code {
        1 => "CUDA_ERROR_INVALID_VALUE",
        2 => "CUDA_ERROR_OUT_OF_MEMORY",
        3 => "CUDA_ERROR_NOT_INITIALIZED",
        34 => "CUDA_ERROR_STUB_LIBRARY",
        46 => "CUDA_ERROR_DEVICE_UNAVAILABLE",
        100 => "CUDA_ERROR_NO_DEVICE",
        101 => "CUDA_ERROR_INVALID_DEVICE",
        304 => "CUDA_ERROR_OPERATING_SYSTEM",
        802 => "CUDA_ERROR_SYSTEM_NOT_READY",
        803 => "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        804 => "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        999 => "CUDA_ERROR_UNKNOWN",
        _ => "a result that this version of Wisp does not know",
    }
}

/// What to do about a `CUresult`.
pub(super) const fn remedy(code: i32) -> &'static str {
    match code {
        34 => "this is the toolkit's stub for linking; put the driver's own libcuda.so.1 first on the loader's path",
        100 => {
            "no GPU is visible; check `nvidia-smi -L` and CUDA_VISIBLE_DEVICES, and in a container that the device is passed in"
        }
        802 => "the GPUs are still starting; start nvidia-fabricmanager, and look into `nvidia-smi`",
        803 => "library and kernel module of the driver have different versions; reboot, or reload the module",
        804 => "the compatibility library needs a data-centre GPU; take it off the loader's path",
        _ => "check that `nvidia-smi` works for this user, and that the modules nvidia and nvidia_uvm are loaded",
    }
}
