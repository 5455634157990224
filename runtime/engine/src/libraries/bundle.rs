//! Libraries that lie beside this program, where it was installed with them as a bundle.
//!
//! ```text
//! bundle.json  bin/wisp  lib/openvino/  lib/onnxruntime/  lib/onnxruntime-cuda/  lib/cuda/
//! ```
//!
//! Whoever installed the program installed them, so they come before all others, and nothing is asked of them that is not
//! asked of the program.

use std::path::{Path, PathBuf};

use wisp_model_store::NativeLibrary;

/// The file that says that a folder is a bundle.
const BUNDLE_FILE: &str = "bundle.json";

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    root: PathBuf,
}

impl Bundle {
    /// The bundle that this program is a part of.
    pub(super) fn of_this_program() -> Option<Self> {
        Self::of(&std::env::current_exe().ok()?)
    }

    fn of(program: &Path) -> Option<Self> {
        let root = program.parent()?.parent()?;
        root.join(BUNDLE_FILE).is_file().then(|| Self { root: root.to_owned() })
    }

    /// A library in its folder of the bundle.
    pub(super) fn library(&self, folder: &str, library: &NativeLibrary) -> Option<PathBuf> {
        let file = self.root.join("lib").join(folder).join(library.wheel().ok()?.library.name);
        file.is_file().then_some(file)
    }

    /// NVIDIA's own libraries, which the build for CUDA needs.
    pub(super) fn cuda(&self) -> Option<PathBuf> {
        let folder = self.root.join("lib/cuda");
        folder.is_dir().then_some(folder)
    }
}

#[cfg(test)]
mod tests {
    use wisp_model_store::OPENVINO;

    use super::*;

    #[test]
    fn libraries_are_found_beside_a_bundled_program_and_nowhere_else() {
        let root = tempfile::tempdir().expect("temporary folder");
        let program = root.path().join("bin/wisp");
        assert_eq!(Bundle::of(&program), None, "lacks {BUNDLE_FILE}");
        std::fs::write(root.path().join(BUNDLE_FILE), "{}").expect("writable");
        let bundle = Bundle::of(&program).expect("is a bundle");
        assert_eq!(bundle.library("openvino", &OPENVINO), None);
        let name = OPENVINO.wheel().expect("tests run where there is a build").library.name;
        let file = root.path().join("lib/openvino").join(name);
        std::fs::create_dir_all(file.parent().expect("has one")).expect("new folder");
        std::fs::write(&file, "").expect("writable");
        assert_eq!(bundle.library("openvino", &OPENVINO), Some(file));
        assert_eq!(bundle.cuda(), None);
    }
}
