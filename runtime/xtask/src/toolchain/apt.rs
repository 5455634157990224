//! Fetching Debian packages of another suite with apt's own signature checks, without touching the system's state.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::mirror::Mirror;
use crate::process::{capture, run_within};
use crate::progress::Step;

/// Package lists and archives of one suite in a folder of their own. Needs no root.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
    architecture: String,
}

impl Apt {
    /// Sets up a folder for a suite of a mirror. What an earlier, interrupted run left there is used again.
    pub(crate) fn new(folder: &Path, mirror: &Mirror, suite: &str, architecture: &str) -> Result<Self> {
        let apt = Self { folder: folder.to_owned(), architecture: architecture.to_owned() };
        for below in ["lists/partial", "cache/archives/partial", "archives"] {
            let path = folder.join(below);
            std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let mut stanza = format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", mirror.uri);
        if let Some(keyring) = &mirror.keyring {
            stanza.push_str(&format!("Signed-By: {}\n", keyring.display()));
        }
        let sources = folder.join("suite.sources");
        std::fs::write(&sources, stanza).with_context(|| format!("cannot write {}", sources.display()))?;
        Ok(apt)
    }

    /// Fetches the package lists. apt refuses lists whose signature it cannot check.
    pub(crate) fn update(&self, step: &Step) -> Result<()> {
        run_within(step, self.command("apt-get").args(["-q", "update"])).map(drop)
    }

    /// `roots` and everything that they need to run, without the packages in `left_out` and what only those need.
    pub(crate) fn closure(&self, roots: &[&str], left_out: &[&str]) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut next: Vec<String> = roots.iter().map(|&root| root.to_owned()).collect();
        while !next.is_empty() {
            let mut command = self.command("apt-cache");
            command.args(["depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]);
            let answer = capture(command.args(["--no-replaces", "--no-enhances"]).args(&next))?;
            found.extend(next);
            next = dependencies(&answer)
                .filter(|&name| !left_out.contains(&name) && !found.contains(name))
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        Ok(found)
    }

    /// Downloads packages into [`Apt::archives`]; apt checks each against the signed lists. Whole ones are kept.
    pub(crate) fn download(&self, packages: &BTreeSet<String>, step: &Step) -> Result<()> {
        let mut command = self.command("apt-get");
        run_within(step, command.current_dir(self.archives()).args(["-q", "download"]).args(packages)).map(drop)
    }

    /// Where downloaded packages lie.
    pub(crate) fn archives(&self) -> PathBuf {
        self.folder.join("archives")
    }

    /// Deletes downloaded packages that are older than the lists know, so that only one version of each is left.
    pub(crate) fn forget_archives(&self) -> Result<()> {
        let archives = self.archives();
        for entry in archives.read_dir().with_context(|| format!("cannot read {}", archives.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let option = |name: &str, value: &Path| {
            let mut text = OsString::from(name);
            text.push("=");
            text.push(value);
            text
        };
        let mut command = Command::new(program);
        for text in [
            option("Dir::Etc::SourceList", &self.folder.join("suite.sources")),
            option("Dir::Etc::SourceParts", Path::new("/dev/null")),
            option("Dir::State::Lists", &self.folder.join("lists")),
            option("Dir::Cache", &self.folder.join("cache")),
            // Only this suite's packages count, whatever is installed, pinned or configured on the machine.
            option("Dir::State::Status", Path::new("/dev/null")),
            option("Dir::Etc::Preferences", Path::new("/dev/null")),
            option("Dir::Etc::PreferencesParts", Path::new("/dev/null")),
            format!("APT::Architecture={}", self.architecture).into(),
            format!("APT::Architectures={}", self.architecture).into(),
            // Root gives up no rights for the download: the unprivileged user could not write into this folder.
            "APT::Sandbox::User=root".into(),
            "APT::Update::Error-Mode=any".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        ] {
            command.arg("-o").arg(text);
        }
        command.env("LC_ALL", "C");
        command
    }
}

/// Names in the answer of `apt-cache depends`: of alternatives (`|Depends`) the first, of virtual packages none.
fn dependencies(answer: &str) -> impl Iterator<Item = &str> {
    let mut is_alternative = false;
    answer.lines().filter_map(move |line| {
        let (relation, name) = line.strip_prefix([' '])?.split_once("epends: ")?;
        let is_first = !is_alternative;
        is_alternative = relation.trim_start().starts_with('|');
        (is_first && !name.starts_with('<')).then(|| name.split(':').next().unwrap_or(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dependencies_and_takes_the_first_of_alternatives() {
        let answer = "rustc\n  Depends: libc6\n  PreDepends: libgcc-s1:amd64\n |Depends: gcc\n |Depends: clang\n  Depends: tcc\n  \
                      Depends: binutils\n  Depends: <libc-dev>\n    libc6-dev\nzlib1g\n  Depends: libc6\n";
        let names: Vec<_> = dependencies(answer).collect();
        assert_eq!(names, ["libc6", "libgcc-s1", "gcc", "binutils", "libc6"]);
    }
}
