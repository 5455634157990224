//! Debian's packages as a source of programs: fetched with apt's signature checks, unpacked into a folder, never installed.

mod apt;
mod mirror;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{capture, find_program};
use crate::progress::{Step, readable_bytes};

pub(crate) use apt::Apt;
use mirror::Mirror;

/// What fetching packages starts from.
#[derive(Clone, Debug)]
pub(crate) struct Ingredients {
    /// This machine's processor.
    pub(crate) platform: Platform,
    /// Where its packages come from.
    pub(crate) mirror: Mirror,
}

impl Ingredients {
    /// Of this machine, or why it has none.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let platform = Platform::of_this_machine()?;
        for program in ["apt-get", "apt-cache", "dpkg"] {
            if find_program(program).is_none() {
                bail!("`{program}` is not on this machine, so Debian's packages cannot be fetched");
            }
        }
        let mirror = Mirror::of_this_machine()
            .context("no Debian mirror is among the apt sources of this machine (/etc/apt/sources.list*)")?;
        Ok(Self { platform, mirror })
    }
}

/// What differs between the processors that this recipe serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Platform {
    /// Debian's name of the architecture.
    pub(crate) architecture: &'static str,
    /// Folder of the libraries below `usr/lib`.
    pub(crate) libraries: &'static str,
    /// The dynamic loader in that folder.
    pub(crate) loader: &'static str,
    /// Rust's name of the platform.
    pub(crate) triple: &'static str,
}

const PLATFORMS: [(&str, Platform); 2] = [
    (
        "x86_64",
        Platform {
            architecture: "amd64",
            libraries: "x86_64-linux-gnu",
            loader: "ld-linux-x86-64.so.2",
            triple: "x86_64-unknown-linux-gnu",
        },
    ),
    (
        "aarch64",
        Platform {
            architecture: "arm64",
            libraries: "aarch64-linux-gnu",
            loader: "ld-linux-aarch64.so.1",
            triple: "aarch64-unknown-linux-gnu",
        },
    ),
];

impl Platform {
    fn of_this_machine() -> Result<Self> {
        let (os, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        let row = PLATFORMS.iter().find(|(name, _)| os == "linux" && *name == processor);
        row.map(|(_, platform)| *platform).with_context(|| {
            format!("Debian's packages are fetched on Linux x86_64 and aarch64 only, this is {os} {processor}")
        })
    }
}

/// Unpacks packages into a folder.
pub(crate) fn unpack(packages: &[PathBuf], into: &Path, step: &Step) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut size_bytes = 0;
    for package in packages {
        capture(Command::new("dpkg").arg("--extract").arg(package).arg(into))?;
        size_bytes += package.metadata().map_or(0, |metadata| metadata.len());
    }
    step.say(&format!("{} of packages unpacked", readable_bytes(size_bytes)));
    Ok(())
}

/// Which packages are wanted.
pub(crate) enum Wanted<'a> {
    /// These alone; the machine has what they need.
    Alone(&'a [&'a str]),
    /// These and everything that they need to run, without the packages in `left_out` and what only those need.
    WithNeeds {
        /// What is wanted.
        roots: &'a [&'a str],
        /// What is not.
        left_out: &'a [&'a str],
    },
}

impl Wanted<'_> {
    fn names(&self, apt: &Apt) -> Result<BTreeSet<String>> {
        match self {
            Self::Alone(names) => Ok(names.iter().map(|&name| name.to_owned()).collect()),
            Self::WithNeeds { roots, left_out } => apt.closure(roots, left_out),
        }
    }
}

/// Fetches packages of a suite and unpacks them at `root`. The folder appears only when it is complete and `check` has accepted
/// it.
pub(crate) fn install(
    root: &Path,
    suite: &str,
    wanted: &Wanted<'_>,
    step: &Step,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let Ingredients { platform, mirror } = Ingredients::of_this_machine()?;
    let work = root.with_extension("partial");
    let apt = Apt::new(&work.join("apt"), &mirror, suite, platform.architecture)?;
    step.say(&format!("package lists of {suite}"));
    apt.update(step)?;
    let archives = apt.download(&wanted.names(&apt)?, step)?;
    let unpacked = work.join("root");
    discard(&unpacked)?;
    unpack(&archives, &unpacked, step)?;
    check(&unpacked)?;
    discard(root)?;
    std::fs::rename(&unpacked, root)
        .with_context(|| format!("cannot rename {} to {}", unpacked.display(), root.display()))?;
    discard(&work)
}

/// Deletes a folder, if it is there.
pub(crate) fn discard(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", folder.display()))
        }
        _ => Ok(()),
    }
}
