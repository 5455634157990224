//! containerd of two generations and runc, out of Debian's packages, for the pods of `cargo xtask e2e`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{Wanted, install};
use crate::process::{capture, is_executable};
use crate::progress::Step;

/// Counts changes of the recipe; an older folder is left alone and no longer used.
const RECIPE: u32 = 1;

/// A suite of Debian and what is taken from it.
struct Source {
    /// Name of the folder.
    name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
}

/// 1.6 is the oldest that is still met, 2.1 the first with image volumes. Both run with the older suite's runc.
const SOURCES: [Source; 2] = [
    Source { name: "containerd-1", suite: "bookworm", packages: &["containerd", "runc"] },
    Source { name: "containerd-2", suite: "forky", packages: &["containerd"] },
];

/// The programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// Folders with `containerd` and what it starts, oldest first.
    pub(crate) containerd: Vec<PathBuf>,
    /// `runc`.
    pub(crate) runc: PathBuf,
}

impl Programs {
    /// Finds them below `tools` or unpacks them there.
    pub(crate) fn ensure(tools: &Path, step: &Step) -> Result<Self> {
        let folders: Result<Vec<PathBuf>> = SOURCES.iter().map(|source| source.ensure(tools, step)).collect();
        let containerd: Vec<PathBuf> = folders?.iter().map(|folder| folder.join("usr/bin")).collect();
        let runc = tools.join(SOURCES[0].folder()).join("usr/sbin/runc");
        Ok(Self { containerd, runc })
    }

    /// The versions, as the programs say themselves.
    pub(crate) fn describe(&self) -> Result<String> {
        let versions: Result<Vec<String>> = self.containerd.iter().map(|folder| version(folder)).collect();
        Ok(format!("containerd {} and runc out of Debian's packages", versions?.join(", ")))
    }
}

impl Source {
    fn folder(&self) -> String {
        format!("{}-debian-{RECIPE}", self.name)
    }

    /// The unpacked packages; the folder appears only when it is complete.
    fn ensure(&self, tools: &Path, step: &Step) -> Result<PathBuf> {
        let root = tools.join(self.folder());
        if is_executable(&root.join("usr/bin/containerd")) {
            return Ok(root);
        }
        let wanted = Wanted::Alone(self.packages);
        install(&root, self.suite, &wanted, step, |unpacked| version(&unpacked.join("usr/bin")).map(drop))?;
        Ok(root)
    }
}

/// `containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1`: the third word.
fn version(folder: &Path) -> Result<String> {
    let said = capture(Command::new(folder.join("containerd")).arg("--version"))?;
    let version = said.split_whitespace().nth(2).context("containerd names no version")?;
    Ok(version.split('~').next().unwrap_or(version).to_owned())
}
