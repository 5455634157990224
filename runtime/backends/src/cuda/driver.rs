//! The NVIDIA driver: its library, its devices and the CUDA version that it supports.
//!
//! Functions and results are those of `cuda.h`, the driver API. No call here creates a context, so looking takes no device
//! memory.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::Library;

use super::missing::{CudaMissing, remedy, result_name};
use super::shared_library::{self, NotOpened};

/// Names the driver's library; then no other is looked for.
pub(super) const DRIVER_VARIABLE: &str = "WISP_CUDA_DRIVER";

const DRIVER: &str = "libcuda.so.1";

/// Where distributions, containers and the toolkit put the driver, for loaders that were not told: an image may have no
/// cache of the loader, and container runtimes mount the driver where the node has it.
#[cfg(target_arch = "aarch64")]
const FOLDERS: [&str; 7] = folders("/usr/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu/tegra");
#[cfg(not(target_arch = "aarch64"))]
const FOLDERS: [&str; 7] = folders("/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/nvidia/current");

const fn folders(system: &'static str, vendor: &'static str) -> [&'static str; 7] {
    [
        system,
        vendor,
        "/usr/lib64",
        "/usr/lib",
        "/run/nvidia/driver/usr/lib64",
        "/usr/local/nvidia/lib64",
        "/usr/local/cuda/lib64",
    ]
}

/// The most devices that are asked for their names.
const GPU_LIMIT: c_int = 64;

/// A CUDA version, ordered as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CudaVersion {
    /// The part before the point.
    pub(crate) major: i32,
    /// The part behind it.
    pub(crate) minor: i32,
}

/// A device that the driver offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// The name that the driver gives it.
    pub(crate) name: String,
    /// Its whole memory.
    pub(crate) memory_bytes: u64,
}

/// The driver after `cuInit`. Its library is never closed: threads of its own may run by then.
pub(super) struct Driver {
    library: ManuallyDrop<Library>,
    path: PathBuf,
}

impl std::fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::fmt::Display for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One decimal is what `nvidia-smi` users compare with; the rounding of f64 is far below it.
        write!(f, "{} ({:.1} GiB)", self.name, self.memory_bytes as f64 / f64::from(1 << 30))
    }
}

impl CudaVersion {
    /// From the number that CUDA uses: 13000 is 13.0, 12020 is 12.2.
    const fn from_number(number: c_int) -> Self {
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl Driver {
    /// Finds, loads and initialises the driver.
    pub(super) fn open() -> Result<Self, CudaMissing> {
        let named = std::env::var_os(DRIVER_VARIABLE).filter(|value| !value.is_empty());
        let folders = FOLDERS.map(PathBuf::from);
        let opened = match &named {
            Some(path) => shared_library::open_file(Path::new(path)),
            None => shared_library::open(DRIVER, &folders),
        };
        let opened = opened.map_err(|error| match error {
            NotOpened::Absent => CudaMissing::NoDriver { searched: shared_library::list(&folders) },
            NotOpened::Broken(reason) => CudaMissing::BrokenDriver { reason },
        })?;
        let mut driver = Self {
            library: ManuallyDrop::new(opened.library),
            path: opened.path.unwrap_or_else(|| PathBuf::from(DRIVER)),
        };
        driver.initialise()?;
        Ok(driver)
    }

    #[expect(unsafe_code, reason = "the driver API is C")]
    fn initialise(&mut self) -> Result<(), CudaMissing> {
        let init = *self.function::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?;
        if let Some(path) = file_of(init as *const c_void) {
            self.path = path;
        }
        // SAFETY: `CUresult cuInit(unsigned int flags)`; flags must be 0.
        self.check("cuInit", unsafe { init(0) })
    }

    /// Every device, by index.
    #[expect(unsafe_code, reason = "the driver API is C")]
    pub(super) fn gpus(&self) -> Result<Vec<Gpu>, CudaMissing> {
        let get_count = self.function::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDeviceGetCount")?;
        let mut count = 0;
        // SAFETY: `CUresult cuDeviceGetCount(int *count)`; the pointer is to a live integer.
        self.check("cuDeviceGetCount", unsafe { get_count(&raw mut count) })?;
        if count <= 0 {
            return Err(CudaMissing::NoDevice { path: self.path.clone() });
        }
        (0..count.min(GPU_LIMIT)).map(|index| self.gpu(index)).collect()
    }

    #[expect(unsafe_code, reason = "the driver API is C")]
    fn gpu(&self, index: c_int) -> Result<Gpu, CudaMissing> {
        let get = self.function::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet")?;
        let get_name = self.function::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName")?;
        let get_memory = self.function::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>("cuDeviceTotalMem_v2")?;
        let mut device = 0;
        // SAFETY: `CUresult cuDeviceGet(CUdevice *device, int ordinal)`; a `CUdevice` is an int.
        self.check("cuDeviceGet", unsafe { get(&raw mut device, index) })?;
        let mut name = [0_u8; 256];
        // SAFETY: `CUresult cuDeviceGetName(char *name, int len, CUdevice dev)`; it writes at most `len` bytes, and the length
        // given is one less than the array, so that a zero ends the text whatever the driver does.
        self.check("cuDeviceGetName", unsafe { get_name(name.as_mut_ptr().cast(), 255, device) })?;
        let mut memory_bytes = 0;
        // SAFETY: `CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)`; the pointer is to a live integer.
        self.check("cuDeviceTotalMem_v2", unsafe { get_memory(&raw mut memory_bytes, device) })?;
        let name =
            CStr::from_bytes_until_nul(&name).map_or_else(|_| String::new(), |text| text.to_string_lossy().into());
        Ok(Gpu { name, memory_bytes: memory_bytes as u64 })
    }

    /// Whether programs built for CUDA `needed` run on this driver: those of its own version and of every older one do.
    #[expect(unsafe_code, reason = "the driver API is C")]
    pub(super) fn supports(&self, needed: CudaVersion) -> Result<(), CudaMissing> {
        let get_version = self.function::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDriverGetVersion")?;
        let mut number = 0;
        // SAFETY: `CUresult cuDriverGetVersion(int *driverVersion)`; the pointer is to a live integer.
        self.check("cuDriverGetVersion", unsafe { get_version(&raw mut number) })?;
        let found = CudaVersion::from_number(number);
        if found < needed {
            return Err(CudaMissing::OldDriver { path: self.path.clone(), found, needed });
        }
        Ok(())
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaMissing> {
        if code == 0 {
            return Ok(());
        }
        let name = self.name_of(code).unwrap_or_else(|| result_name(code).to_owned());
        Err(CudaMissing::Call { path: self.path.clone(), call, code, name, remedy: remedy(code) })
    }

    /// The driver's own name of a result; `None` for drivers that do not know it.
    #[expect(unsafe_code, reason = "the driver API is C")]
    fn name_of(&self, code: c_int) -> Option<String> {
        let get = self.function::<unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int>("cuGetErrorName").ok()?;
        let mut name = std::ptr::null();
        // SAFETY: `CUresult cuGetErrorName(CUresult error, const char **pStr)`; it stores a pointer to a static text or null.
        if unsafe { get(code, &raw mut name) } != 0 || name.is_null() {
            return None;
        }
        // SAFETY: not null, and by the contract above a static text that ends with zero.
        Some(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    }

    /// A function of the driver; `T` must be its type in `cuda.h`.
    #[expect(unsafe_code, reason = "the driver API is C")]
    fn function<T>(&self, symbol: &'static str) -> Result<libloading::Symbol<'_, T>, CudaMissing> {
        // SAFETY: every caller names a function of `cuda.h` together with its type there, which has been stable since CUDA 4.
        unsafe { self.library.get(symbol.as_bytes()) }
            .map_err(|_| CudaMissing::NoSymbol { path: self.path.clone(), symbol })
    }
}

/// `Dl_info` of `dlfcn.h`.
#[repr(C)]
struct SymbolInfo {
    file_name: *const c_char,
    file_base: *mut c_void,
    symbol_name: *const c_char,
    symbol_address: *mut c_void,
}

/// The file that holds this address: the loader finds the driver by name and does not say where.
#[expect(unsafe_code, reason = "only the C library knows which file an address comes from")]
fn file_of(address: *const c_void) -> Option<PathBuf> {
    unsafe extern "C" {
        fn dladdr(address: *const c_void, info: *mut SymbolInfo) -> c_int;
    }
    let mut info = SymbolInfo {
        file_name: std::ptr::null(),
        file_base: std::ptr::null_mut(),
        symbol_name: std::ptr::null(),
        symbol_address: std::ptr::null_mut(),
    };
    // SAFETY: `int dladdr(const void *addr, Dl_info *info)` takes any address and fills the structure, or returns 0.
    if unsafe { dladdr(address, &raw mut info) } == 0 || info.file_name.is_null() {
        return None;
    }
    // SAFETY: not null, and a text that lives as long as the library is loaded, which is for ever.
    let name = unsafe { CStr::from_ptr(info.file_name) };
    Some(PathBuf::from(name.to_str().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_cuda_counts_them() {
        let version = |number| CudaVersion::from_number(number).to_string();
        assert_eq!([version(12020), version(13000), version(13010)], ["12.2", "13.0", "13.1"]);
        assert!(CudaVersion::from_number(12090) < CudaVersion::from_number(13000));
    }

    #[test]
    fn a_device_is_shown_with_its_memory() {
        let gpu = Gpu { name: "NVIDIA H100 80GB HBM3".to_owned(), memory_bytes: 85_030_207_488 };
        assert_eq!(gpu.to_string(), "NVIDIA H100 80GB HBM3 (79.2 GiB)");
    }
}
