//! Programs written in Go that tests need: a registry, and clients that others wrote.

use std::path::{Path, PathBuf};

use wisp_model_store::Home;

use crate::skip;

/// A Go program at a pinned version, which the Go module proxy verifies by its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoTool {
    /// Name of the program.
    pub name: &'static str,
    /// Its package.
    pub package: &'static str,
    /// Its version, with the leading `v`.
    pub version: &'static str,
}

/// The registry of the CNCF's project Distribution, Apache-2.0.
pub const REGISTRY: GoTool =
    GoTool { name: "registry", package: "github.com/distribution/distribution/v3/cmd/registry", version: "v3.1.2" };

/// A client of registries for artifacts of all kinds, Apache-2.0.
pub const ORAS: GoTool = GoTool { name: "oras", package: "oras.land/oras/cmd/oras", version: "v1.3.6" };

/// What renders and checks charts, Apache-2.0.
pub const HELM: GoTool = GoTool { name: "helm", package: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0" };

/// Every Go program that tests use.
pub const GO_TOOLS: [GoTool; 3] = [REGISTRY, ORAS, HELM];

impl GoTool {
    /// The folder of this version below the folder of all tools.
    #[must_use]
    pub fn folder(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.name, self.version))
    }

    /// The program below the folder of all tools.
    #[must_use]
    pub fn program(&self, tools: &Path) -> PathBuf {
        self.folder(tools).join(self.name)
    }

    /// The program that set-up installed, or a skip of `test`.
    #[must_use]
    pub fn get(&self, test: &str) -> Option<PathBuf> {
        let found = Home::from_env().map(|home| self.program(&home.tools())).ok().filter(|program| program.is_file());
        if found.is_none() {
            let Self { name, version, .. } = self;
            skip(test, &format!("`{name}` {version} is not installed; install Go and run `cargo xtask setup`"));
        }
        found
    }
}
