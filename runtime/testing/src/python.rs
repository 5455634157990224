//! Packages of Python that tests need: clients that others wrote.

use std::path::{Path, PathBuf};
use std::process::Command;

use wisp_model_store::Home;

use crate::skip;

/// The file that says what a folder of packages was made of.
const STAMP: &str = "wisp-requirements.txt";

/// Packages at pinned versions, in a folder beside no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonPackages {
    /// What they are called here.
    pub name: &'static str,
    /// The requirements, as pip reads them.
    pub requirements: &'static str,
}

/// OpenAI's own client, Apache-2.0.
pub const OPENAI: PythonPackages =
    PythonPackages { name: "openai", requirements: include_str!("../python/openai.txt") };

/// gRPC's own client with reflection and health checks, Apache-2.0.
pub const GRPC: PythonPackages = PythonPackages { name: "grpc", requirements: include_str!("../python/grpc.txt") };

/// A tester of servers by their OpenAPI documents, MIT.
pub const SCHEMATHESIS: PythonPackages =
    PythonPackages { name: "schemathesis", requirements: include_str!("../python/schemathesis.txt") };

/// The schemas of Kubernetes, Apache-2.0.
pub const KUBERNETES: PythonPackages =
    PythonPackages { name: "kubernetes", requirements: include_str!("../python/kubernetes.txt") };

/// All packages that tests use.
pub const PYTHON_PACKAGES: [PythonPackages; 4] = [OPENAI, GRPC, SCHEMATHESIS, KUBERNETES];

impl PythonPackages {
    /// The folder of these packages below the folder of all tools, for a version of Python by its cache tag (`cpython-311`).
    #[must_use]
    pub fn folder(&self, tools: &Path, tag: &str) -> PathBuf {
        tools.join(format!("python-{}-{tag}", self.name))
    }

    /// Whether a folder has these packages, and at these versions.
    #[must_use]
    pub fn are_in(&self, folder: &Path) -> bool {
        std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|made_of| made_of == self.requirements)
    }

    /// Says of a folder that it has these packages.
    ///
    /// # Errors
    /// When it cannot be written into.
    pub fn stamp(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::write(folder.join(STAMP), self.requirements)
    }

    /// A Python that finds these packages, or a skip of `test`.
    #[must_use]
    pub fn python(&self, test: &str) -> Option<Command> {
        let folder = Home::from_env().ok().zip(tag()).map(|(home, tag)| self.folder(&home.tools(), &tag));
        match folder.filter(|folder| self.are_in(folder)) {
            Some(folder) => {
                let mut command = python();
                command.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
                Some(command)
            }
            None => {
                skip(test, &format!("the Python packages `{}` are not installed; run `cargo xtask test`", self.name));
                None
            }
        }
    }
}

/// The Python of the set-up: `WISP_PYTHON`, else `python3`.
#[must_use]
pub fn python() -> Command {
    Command::new(std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// What its compiled files are called by, which says implementation and version.
fn tag() -> Option<String> {
    let output = python().args(["-c", "import sys; print(sys.implementation.cache_tag)"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
