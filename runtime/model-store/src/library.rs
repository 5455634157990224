//! Native libraries that backends load at run time, out of pip wheels pinned for every platform.

use std::path::PathBuf;

use crate::fetch::wheel::{self, Request};
use crate::fetch::{Context, Wanted};
use crate::folder::{CacheFolder, Depth};
use crate::pin::Pin;
use crate::{Access, FetchAttempt, FileState, NoProgress, Progress, Sha256Digest, Store, StoreError};

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

/// ONNX Runtime, CPU build; 1.31.1 is the last version whose CUDA provider is published as well.
pub static ONNX_RUNTIME: NativeLibrary = NativeLibrary {
    name: "onnxruntime",
    version: "1.31.1",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            size_bytes: 23_753_652,
            sha256: pinned("5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f"),
            library: LibraryFile {
                folder: "onnxruntime/capi/",
                name: "libonnxruntime.so.1.31.1",
                size_bytes: 29_352_200,
                sha256: pinned("fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3"),
            },
            companions: &[
                LibraryFile {
                    folder: "onnxruntime/capi/",
                    name: "libonnxruntime_providers_shared.so",
                    size_bytes: 14_632,
                    sha256: pinned("086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d"),
                },
                ONNX_RUNTIME_LICENSE,
                ONNX_RUNTIME_NOTICES,
            ],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_28_aarch64",
            size_bytes: 21_413_526,
            sha256: pinned("da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3"),
            library: LibraryFile {
                folder: "onnxruntime/capi/",
                name: "libonnxruntime.so.1.31.1",
                size_bytes: 25_265_040,
                sha256: pinned("8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467"),
            },
            companions: &[
                LibraryFile {
                    folder: "onnxruntime/capi/",
                    name: "libonnxruntime_providers_shared.so",
                    size_bytes: 198_792,
                    sha256: pinned("3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88"),
                },
                ONNX_RUNTIME_LICENSE,
                ONNX_RUNTIME_NOTICES,
            ],
        },
        PlatformWheel {
            os: "macos",
            arch: "aarch64",
            tag: "macosx_14_0_arm64",
            size_bytes: 20_871_676,
            sha256: pinned("60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7"),
            library: LibraryFile {
                folder: "onnxruntime/capi/",
                name: "libonnxruntime.1.31.1.dylib",
                size_bytes: 33_037_336,
                sha256: pinned("f8b06155feece624e55e49124340eea279da812529ae6fbc46a9f2be9c9cad2e"),
            },
            companions: &[ONNX_RUNTIME_LICENSE, ONNX_RUNTIME_NOTICES],
        },
    ],
};

const ONNX_RUNTIME_LICENSE: LibraryFile = LibraryFile {
    folder: "onnxruntime/",
    name: "LICENSE",
    size_bytes: 1_073,
    sha256: pinned("2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c"),
};

const ONNX_RUNTIME_NOTICES: LibraryFile = LibraryFile {
    folder: "onnxruntime/",
    name: "ThirdPartyNotices.txt",
    size_bytes: 338_088,
    sha256: pinned("143764b952fdb1a7c69ce653bfba74a7744d6a8a573bfb73e235fba356c83de3"),
};

/// A digest of the tables above; a wrong one does not compile.
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
        folder.save_stamps();
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
        folder.save_stamps();
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
        let lock = folder.lock(progress)?;
        let absent = absent_files(folder, wheel, progress)?;
        let what = format!("{} {}", library.name, library.version);
        if absent.is_empty() {
            return Ok(());
        }
        if self.access() == Access::Offline {
            return Err(StoreError::Offline {
                what,
                missing: absent.iter().map(|file| file.name.to_owned()).collect(),
                remedy: format!("start once with the network, or put the files into {}", folder.path().display()),
            });
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

fn absent_files(
    folder: &mut CacheFolder,
    wheel: &'static PlatformWheel,
    progress: &dyn Progress,
) -> Result<Vec<&'static LibraryFile>, StoreError> {
    let mut absent = Vec::new();
    for file in wheel.files() {
        let location = folder.path().join(file.name);
        let state = folder.examine(&location, file.pin(), Depth::Stamp, progress);
        if state.map_err(StoreError::io("read", &location))? != FileState::Verified {
            absent.push(file);
        }
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Home;

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
    fn a_library_that_is_not_there_is_named_offline_and_found_nowhere() {
        let home = tempfile::tempdir().expect("temporary folder");
        let store = Store::new(Home::at(home.path()), Access::Offline);
        assert_eq!(store.find_library(&ONNX_RUNTIME), None);
        let text = store.ensure_library(&ONNX_RUNTIME, &NoProgress).expect_err("nothing there").to_string();
        assert!(text.starts_with("onnxruntime 1.31.1 is not complete: libonnxruntime"), "{text}");
        assert!(text.ends_with(&home.path().join("libraries/onnxruntime-1.31.1").display().to_string()), "{text}");
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
    }
}
