//! The bundle that this shim was started from, and the paths inside containers where it appears.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Attempt, Error, Result};

/// Where every container of the wisp runtime sees the bundle, whatever folder it has on the node.
pub(crate) const ROOT_IN_CONTAINER: &str = "/opt/wisp";
/// The engine, as a container sees it.
pub(crate) const ENGINE_IN_CONTAINER: &str = "/opt/wisp/bin/wisp";
/// The node's cache, as a container sees it: read-only, written by root alone.
pub(crate) const NODE_CACHE_IN_CONTAINER: &str = "/opt/wisp/node";

/// A bundle on the node: `bin`, `lib`, and the empty folder `node` as a mount point.
#[derive(Debug)]
pub(crate) struct Installation {
    root: PathBuf,
}

/// The part of `bundle.json` that names the build.
#[derive(Deserialize)]
struct Manifest {
    digest: String,
}

impl Installation {
    /// The bundle around this executable; symbolic links to the shim lead to their bundle.
    pub(crate) fn of_this_shim() -> Result<Self> {
        let executable = std::env::current_exe().attempt(|| "find the shim's own path".to_owned())?;
        let root = executable.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        Self::at(root)
    }

    /// The bundle at `root`, if the parts that every container needs are there.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        let installation = Self { root: root.to_owned() };
        for part in ["bin/wisp", "lib", "node"] {
            if !root.join(part).exists() {
                return Err(Error::Installation { root: root.to_owned(), what: part.to_owned() });
            }
        }
        Ok(installation)
    }

    /// The folder to mount at [`ROOT_IN_CONTAINER`].
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The loader, library folder and engine, to run the engine on the node itself, where [`ROOT_IN_CONTAINER`] need not exist.
    pub(crate) fn engine_on_node(&self) -> (PathBuf, PathBuf, PathBuf) {
        let lib = self.root.join("lib");
        (lib.join(LOADER), lib, self.root.join("bin/wisp"))
    }

    /// A name for this build of the engine. Machine code of another build is compiled anew.
    pub(crate) fn build_id(&self) -> Result<String> {
        let path = self.root.join("bundle.json");
        let missing = |reason: String| Error::Installation {
            root: self.root.clone(),
            what: format!("a usable bundle.json ({reason})"),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| missing(error.to_string()))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| missing(error.to_string()))?;
        let id: String = manifest.digest.trim_start_matches("sha256:").chars().take(16).collect();
        if id.is_empty() || !id.chars().all(|character| character.is_ascii_hexdigit()) {
            return Err(missing(format!("digest `{}` is not hexadecimal", manifest.digest)));
        }
        Ok(id)
    }
}

/// The dynamic loader's file name on this architecture.
#[cfg(target_arch = "x86_64")]
const LOADER: &str = "ld-linux-x86-64.so.2";
/// The dynamic loader's file name on this architecture.
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "ld-linux-aarch64.so.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_part_that_is_missing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("lib")).expect("the folder is ours");
        let error = Installation::at(folder.path()).expect_err("nothing is installed there").to_string();
        assert!(error.contains("lacks bin/wisp"), "{error}");
    }

    #[test]
    fn a_build_is_named_by_the_digest_of_its_bundle() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let installation = Installation { root: folder.path().to_owned() };
        assert!(installation.build_id().expect_err("no bundle.json").to_string().contains("bundle.json"));
        std::fs::write(
            folder.path().join("bundle.json"),
            r#"{"digest": "sha256:0123456789abcdef0123", "version": "1"}"#,
        )
        .expect("the folder is ours");
        assert_eq!(installation.build_id().expect("a digest is there"), "0123456789abcdef");
        std::fs::write(folder.path().join("bundle.json"), r#"{"digest": "../../etc"}"#).expect("the folder is ours");
        assert!(installation.build_id().is_err(), "a digest becomes a folder's name");
    }
}
