//! Where things lie in the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout that this program was built from.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    binaries: PathBuf,
}

impl Repository {
    /// Finds the checkout from where this program was compiled, and its binaries beside this program.
    pub(crate) fn open() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root =
            manifest.ancestors().nth(2).context("the xtask crate lies two folders below the repository's root")?;
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let binaries = program.parent().context("this program lies in no folder")?;
        Ok(Self { root: root.to_owned(), binaries: binaries.to_owned() })
    }

    /// The top of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The program `name` of the host workspace, as the development profile builds it.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The workspace of the guests, which another compiler may build.
    pub(crate) fn guest_workspace(&self) -> PathBuf {
        self.root.join("examples/guests/Cargo.toml")
    }

    /// The guest SDK, a package outside the host workspace.
    pub(crate) fn guest_sdk(&self) -> PathBuf {
        self.root.join("guest-sdk/Cargo.toml")
    }

    /// The workspace of the fuzz targets, which a nightly compiler builds.
    pub(crate) fn fuzz_workspace(&self) -> PathBuf {
        self.root.join("runtime/fuzz/Cargo.toml")
    }

    /// Where built guests lie: `target/guests`, with the guests' own build folders below it.
    pub(crate) fn built_guests(&self) -> PathBuf {
        self.root.join("target/guests")
    }

    /// Build folder of the guests' tests, which run on the host and so are built by the host's compiler.
    pub(crate) fn native_guest_builds(&self) -> PathBuf {
        self.root.join("target/guests-native")
    }

    /// What the demo's server wrote to its standard error.
    pub(crate) fn server_log(&self) -> PathBuf {
        self.root.join("target/demo-server.log")
    }

    /// Where a test run notes the tests that could not run.
    pub(crate) fn skipped_tests(&self) -> PathBuf {
        self.root.join("target/skipped-tests.txt")
    }
}
