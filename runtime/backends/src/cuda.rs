//! What a machine has for CUDA programs, looked for step by step until the first thing is missing.
//!
//! Everything that is loaded stays loaded. The driver must not be unloaded once it was initialised, and the toolkit's libraries
//! are then found under their names by whoever needs them next, wherever they lie.

mod driver;
mod missing;
mod shared_library;

use std::path::PathBuf;

pub(crate) use driver::{CudaVersion, Gpu};
pub(crate) use missing::CudaMissing;

use shared_library::NotOpened;

/// A library of the CUDA toolkit, or one that is built on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CudaLibrary {
    /// The name under which the loader knows it.
    pub(crate) soname: &'static str,
    /// The PyPI package that carries it, for the remedy.
    pub(crate) package: &'static str,
}

/// What a program asks of a machine.
#[derive(Clone, Debug)]
pub(crate) struct CudaNeeds {
    /// The CUDA version that the driver must support.
    pub(crate) version: CudaVersion,
    /// Libraries in the order in which they depend on each other.
    pub(crate) libraries: &'static [CudaLibrary],
    /// Where these are looked for when the loader does not find them.
    pub(crate) folders: Vec<PathBuf>,
}

/// What was found, as far as the first thing that is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct CudaFinding {
    /// The devices that the driver offers, by index.
    pub(crate) gpus: Vec<Gpu>,
    /// The first thing that is missing, if any.
    pub(crate) missing: Option<CudaMissing>,
}

/// Looks for the driver, its devices and its version, then for the libraries.
pub(crate) fn look(needs: &CudaNeeds) -> CudaFinding {
    let driver = match driver::Driver::open() {
        Ok(driver) => driver,
        Err(missing) => return CudaFinding { gpus: Vec::new(), missing: Some(missing) },
    };
    let gpus = match driver.gpus() {
        Ok(gpus) => gpus,
        Err(missing) => return CudaFinding { gpus: Vec::new(), missing: Some(missing) },
    };
    let missing = driver.supports(needs.version).and_then(|()| open_libraries(needs)).err();
    CudaFinding { gpus, missing }
}

/// Whether there is a driver that can be initialised: the first thing that anything with CUDA needs.
pub(crate) fn has_driver() -> bool {
    driver::Driver::open().is_ok()
}

fn open_libraries(needs: &CudaNeeds) -> Result<(), CudaMissing> {
    for &CudaLibrary { soname, package } in needs.libraries {
        match shared_library::open(soname, &needs.folders) {
            // Left open, see above.
            Ok(opened) => std::mem::forget(opened.library),
            Err(NotOpened::Absent) => {
                let searched = shared_library::list(&needs.folders);
                return Err(CudaMissing::NoLibrary { soname, package, searched });
            }
            Err(NotOpened::Broken(reason)) => return Err(CudaMissing::BrokenLibrary { soname, package, reason }),
        }
    }
    Ok(())
}
