//! Native libraries that backends load at run time, out of pip wheels pinned for every platform.

mod cuda;
mod onnxruntime;
mod openvino;

use std::path::PathBuf;

use crate::fetch::wheel::{self, Request};
use crate::fetch::{Context, Wanted};
use crate::folder::{CacheFolder, Depth};
use crate::pin::Pin;
pub use cuda::CUDA_LIBRARIES;
pub use onnxruntime::{ONNX_RUNTIME, ONNX_RUNTIME_CUDA};
pub use openvino::OPENVINO;

use crate::{Difference, FetchAttempt, FileState, NoProgress, Progress, Sha256Digest, Store, StoreError};

/// A native library of one exact version.
#[derive(Debug)]
pub struct NativeLibrary {
    /// Its name, which is also that of the pip distribution.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One wheel a platform.
    pub wheels: &'static [PlatformWheel],
}

/// The wheel of a platform and what is taken out of it.
#[derive(Debug)]
pub struct PlatformWheel {
    /// Operating system, as [`std::env::consts::OS`] names it.
    pub os: &'static str,
    /// Processor, as [`std::env::consts::ARCH`] names it.
    pub arch: &'static str,
    /// pip's tag of the platform.
    pub tag: &'static str,
    /// Length of the wheel.
    pub size_bytes: u64,
    /// Digest of the wheel.
    pub sha256: Sha256Digest,
    /// The library itself.
    pub library: LibraryFile,
    /// What belongs to it: libraries that it loads, licence and notices.
    pub companions: &'static [LibraryFile],
}

/// A file of a library.
#[derive(Debug)]
pub struct LibraryFile {
    /// Its folder in the wheel, with the trailing slash.
    pub folder: &'static str,
    /// Its name in the wheel and in the cache.
    pub name: &'static str,
    /// Its length.
    pub size_bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// A digest of the tables; a wrong one does not compile.
const fn pinned(hex: &str) -> Sha256Digest {
    match Sha256Digest::from_hex(hex) {
        Some(digest) => digest,
        None => panic!("a pin is 64 lower-case hexadecimal digits"),
    }
}

impl NativeLibrary {
    /// The wheel for this machine.
    ///
    /// # Errors
    /// [`StoreError::Platform`] when there is none.
    pub fn wheel(&self) -> Result<&'static PlatformWheel, StoreError> {
        self.wheel_for(std::env::consts::OS, std::env::consts::ARCH)
    }

    fn wheel_for(&self, os: &str, arch: &str) -> Result<&'static PlatformWheel, StoreError> {
        self.wheels.iter().find(|wheel| wheel.os == os && wheel.arch == arch).ok_or_else(|| {
            let offered: Vec<_> = self.wheels.iter().map(|wheel| format!("{}-{}", wheel.os, wheel.arch)).collect();
            StoreError::Platform {
                library: self.name,
                version: self.version,
                platform: format!("{os}-{arch}"),
                offered: offered.join(", "),
            }
        })
    }
}

impl PlatformWheel {
    fn files(&self) -> impl Iterator<Item = &LibraryFile> {
        std::iter::once(&self.library).chain(self.companions)
    }
}

impl LibraryFile {
    fn pin(&self) -> Pin {
        Pin { size_bytes: self.size_bytes, sha256: self.sha256 }
    }
}

impl Store {
    /// The library in the cache, complete and verified; `None` when it is not there, or not for this platform.
    #[must_use]
    pub fn find_library(&self, library: &NativeLibrary) -> Option<PathBuf> {
        let wheel = library.wheel().ok()?;
        let mut folder = self.library_folder(library);
        let absent = absent_files(&mut folder, wheel, &NoProgress).ok()?;
        if !absent.is_empty() {
            return None;
        }
        self.save_stamps(&mut folder);
        Some(folder.path().join(wheel.library.name))
    }

    /// The library, fetched if it is not there, and complete and verified in any case.
    ///
    /// # Errors
    /// [`StoreError::Platform`], [`StoreError::Offline`], [`StoreError::Fetch`], [`StoreError::Io`].
    pub fn ensure_library(&self, library: &NativeLibrary, progress: &dyn Progress) -> Result<PathBuf, StoreError> {
        let wheel = library.wheel()?;
        let mut folder = self.library_folder(library);
        if !absent_files(&mut folder, wheel, progress)?.is_empty() {
            self.complete_library(library, wheel, &mut folder, progress)?;
        }
        self.save_stamps(&mut folder);
        Ok(folder.path().join(wheel.library.name))
    }

    fn library_folder(&self, library: &NativeLibrary) -> CacheFolder {
        CacheFolder::at(self.home().libraries().join(format!("{}-{}", library.name, library.version)))
    }

    fn complete_library(
        &self,
        library: &NativeLibrary,
        wheel: &'static PlatformWheel,
        folder: &mut CacheFolder,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let what = format!("{} {}", library.name, library.version);
        if !self.may_fetch() {
            // Without the lock: a machine that may fetch nothing is left as it is, folders included.
            let absent = absent_files(folder, wheel, progress)?;
            return Err(offline(what, folder, absent));
        }
        let lock = folder.lock(progress)?;
        let absent: Vec<_> = absent_files(folder, wheel, progress)?.into_iter().map(|absent| absent.file).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let paths: Vec<_> = absent.iter().map(|file| format!("{}{}", file.folder, file.name)).collect();
        let mut wanted: Vec<_> = absent
            .iter()
            .zip(&paths)
            .map(|(file, path)| Wanted {
                name: file.name,
                source_path: path,
                pin: file.pin(),
                destination: folder.path().join(file.name),
            })
            .collect();
        let pin = Pin { size_bytes: wheel.size_bytes, sha256: wheel.sha256 };
        let request = Request { package: library.name, version: library.version, pin, platform: Some(wheel.tag) };
        let context = Context { origins: self.origins(), base: None, workspace: lock.workspace(), progress };
        wheel::fetch(&request, "", &mut wanted, context).map_err(|error| StoreError::Fetch {
            what: what.clone(),
            attempts: vec![FetchAttempt { source: format!("pip wheel {what}"), error }],
            folder: folder.path().to_path_buf(),
        })?;
        for file in absent {
            let location = folder.path().join(file.name);
            let metadata = std::fs::metadata(&location).map_err(StoreError::io("read", &location))?;
            folder.stamp(&location, &metadata, file.pin());
        }
        Ok(())
    }
}

/// A file that is not there, or is another one.
struct Absent {
    file: &'static LibraryFile,
    difference: Option<Difference>,
}

fn absent_files(
    folder: &mut CacheFolder,
    wheel: &'static PlatformWheel,
    progress: &dyn Progress,
) -> Result<Vec<Absent>, StoreError> {
    let mut absent = Vec::new();
    for file in wheel.files() {
        let location = folder.path().join(file.name);
        let state = folder.examine(&location, file.pin(), Depth::Stamp, progress);
        match state.map_err(StoreError::io("read", &location))? {
            FileState::Verified => {}
            FileState::Differs(difference) => absent.push(Absent { file, difference: Some(difference) }),
            _ => absent.push(Absent { file, difference: None }),
        }
    }
    Ok(absent)
}

/// The first damaged file, for it is no use to look for a missing one; else all that are missing.
fn offline(what: String, folder: &CacheFolder, absent: Vec<Absent>) -> StoreError {
    let damaged = absent.iter().find_map(|absent| Some((absent.file, absent.difference?)));
    match damaged {
        Some((file, difference)) => StoreError::Corrupt {
            path: folder.path().join(file.name),
            difference,
            remedy: format!("start once with the network, which fetches {what} again"),
        },
        None => StoreError::Offline {
            what,
            missing: absent.iter().map(|absent| absent.file.name.to_owned()).collect(),
            remedy: format!("start once with the network, or put the files into {}", folder.path().display()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Home};

    #[test]
    fn every_platform_names_its_wheel_and_others_are_refused() {
        let name = |os, arch| ONNX_RUNTIME.wheel_for(os, arch).map(|wheel| wheel.library.name);
        assert!(matches!(name("linux", "x86_64"), Ok("libonnxruntime.so.1.31.1")));
        assert!(matches!(name("linux", "aarch64"), Ok("libonnxruntime.so.1.31.1")));
        assert!(matches!(name("macos", "aarch64"), Ok("libonnxruntime.1.31.1.dylib")));
        let error = name("plan9", "mips").expect_err("no build");
        let expected = "onnxruntime 1.31.1 has no build for plan9-mips; \
                        there are builds for linux-x86_64, linux-aarch64, macos-aarch64";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn tables_are_complete_and_unambiguous() {
        for library in [&ONNX_RUNTIME, &ONNX_RUNTIME_CUDA, &OPENVINO].into_iter().chain(CUDA_LIBRARIES) {
            for wheel in library.wheels {
                assert!(wheel.tag.ends_with(if wheel.os == "macos" { "arm64" } else { wheel.arch }), "{}", wheel.tag);
                let names: Vec<_> = wheel.files().map(|file| file.name).collect();
                let unique: std::collections::BTreeSet<_> = names.iter().collect();
                assert_eq!(unique.len(), names.len(), "{names:?} share one folder");
                assert!(names.iter().any(|name| ["LICENSE", "License.txt"].contains(name)), "{names:?}");
            }
        }
    }

    #[test]
    fn openvino_has_the_plugins_and_front_ends_of_its_platform() {
        let names = |os, arch| -> Vec<_> {
            OPENVINO.wheel_for(os, arch).expect("published").files().map(|file| file.name).collect()
        };
        let x86 = names("linux", "x86_64");
        assert_eq!(x86[0], "libopenvino_c.so.2641");
        for name in ["libopenvino_intel_cpu_plugin.so", "libopenvino_intel_gpu_plugin.so", "cache.json", "libtbb.so.12"]
        {
            assert!(x86.contains(&name), "{name}");
        }
        assert!(names("linux", "aarch64").contains(&"libopenvino_arm_cpu_plugin.so"));
        assert_eq!(names("macos", "aarch64")[0], "libopenvino_c.2641.dylib");
        for foreign in ["paddle", "pytorch", "tensorflow_frontend", "jax", "gguf"] {
            assert!(!x86.iter().any(|name| name.contains(foreign)), "{foreign}");
        }
    }

    #[test]
    fn the_cuda_build_holds_its_provider() {
        let wheel = ONNX_RUNTIME_CUDA.wheel_for("linux", "x86_64").expect("published");
        assert_eq!(wheel.library.name, "libonnxruntime.so.1.31.1");
        assert!(wheel.files().any(|file| file.name == "libonnxruntime_providers_cuda.so"));
        assert!(matches!(ONNX_RUNTIME_CUDA.wheel_for("macos", "aarch64"), Err(StoreError::Platform { .. })));
    }

    #[test]
    fn what_the_provider_loads_is_pinned_for_every_platform_that_it_is_built_for() {
        for ours in ONNX_RUNTIME_CUDA.wheels {
            let wheels = CUDA_LIBRARIES.map(|library| library.wheel_for(ours.os, ours.arch).expect("published"));
            let names: Vec<_> = wheels.iter().flat_map(|wheel| wheel.files()).map(|file| file.name).collect();
            for soname in
                ["libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10", "libcudnn.so.9"]
            {
                assert!(names.contains(&soname), "{soname} for {}", ours.arch);
            }
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_named_offline_and_found_nowhere() {
        let home = tempfile::tempdir().expect("temporary folder");
        let store = Store::new(Home::at(home.path()), Access::Offline);
        assert_eq!(store.find_library(&ONNX_RUNTIME), None);
        let text = store.ensure_library(&ONNX_RUNTIME, &NoProgress).expect_err("nothing there").to_string();
        assert!(text.starts_with("onnxruntime 1.31.1 is not complete: libonnxruntime"), "{text}");
        assert!(text.ends_with(&home.path().join("libraries/onnxruntime-1.31.1").display().to_string()), "{text}");
        assert!(!home.path().join("libraries").exists(), "nothing is made where nothing is fetched");
    }

    #[test]
    fn a_file_of_another_content_is_not_taken_for_the_library() {
        let home = tempfile::tempdir().expect("temporary folder");
        let store = Store::new(Home::at(home.path()), Access::Offline);
        let wheel = ONNX_RUNTIME.wheel().expect("tests run where there is a build");
        let folder = home.path().join("libraries/onnxruntime-1.31.1");
        std::fs::create_dir_all(&folder).expect("new folder");
        for file in wheel.files() {
            let size = usize::try_from(file.size_bytes).expect("fits");
            std::fs::write(folder.join(file.name), vec![0; size]).expect("writable");
        }
        assert_eq!(store.find_library(&ONNX_RUNTIME), None);
        let error = store.ensure_library(&ONNX_RUNTIME, &NoProgress).expect_err("is another file");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}
