//! The client `oras`, which knows nothing of Wisp.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, and a folder with credentials that no other test has.
pub(crate) struct Oras {
    program: PathBuf,
    /// Flags of every command that talks to a registry.
    flags: Vec<String>,
}

impl Oras {
    /// For registries without TLS; a skip of `test` when it is not installed.
    pub(crate) fn plain(test: &str) -> Option<Self> {
        Some(Self { program: wisp_testing::ORAS.get(test)?, flags: vec!["--plain-http".to_owned()] })
    }

    /// For a registry whose certificate this authority signed.
    pub(crate) fn trusting(test: &str, ca_file: &Path, user: &str, password: &str) -> Option<Self> {
        let ca_file = ca_file.display().to_string();
        let flags = ["--ca-file", &ca_file, "--username", user, "--password", password];
        Some(Self { program: wisp_testing::ORAS.get(test)?, flags: flags.map(str::to_owned).to_vec() })
    }

    /// Runs a command in `folder` and returns what it printed.
    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).env("DOCKER_CONFIG", folder).args(arguments).args(&self.flags);
        let output = command.output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "oras {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// The manifest or index of a reference.
    pub(crate) fn manifest(&self, folder: &Path, reference: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(folder, &["manifest", "fetch", reference])).expect("JSON")
    }

    /// A blob of a repository.
    pub(crate) fn blob(&self, folder: &Path, reference: &str) -> Vec<u8> {
        self.run(folder, &["blob", "fetch", "--output", "fetched-blob", reference]);
        std::fs::read(folder.join("fetched-blob")).expect("fetched")
    }
}
