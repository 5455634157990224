//! Fetching Debian packages of another suite with apt's own signature checks, without touching the system's state.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

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

    /// Downloads packages and returns their files, each with the digest that the signed lists name. Whole ones that an
    /// earlier run left are kept; apt itself would judge those by their size alone.
    pub(crate) fn download(&self, names: &BTreeSet<String>, step: &Step) -> Result<Vec<PathBuf>> {
        let archives = self.folder.join("archives");
        // apt leaves out what lies in the folder where it runs, so this runs elsewhere.
        let mut listing = self.command("apt-get");
        let listing = capture(listing.current_dir(&self.folder).args(["-q", "download", "--print-uris"]).args(names))?;
        let packages: Vec<_> = listing.lines().filter_map(Package::of_line).collect();
        ensure!(packages.len() == names.len(), "apt knows {} of {} packages:\n{listing}", packages.len(), names.len());

        for package in &packages {
            let path = archives.join(&package.file_name);
            if path.exists() && digest(&path)? != package.sha256 {
                std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
            }
        }
        run_within(step, self.command("apt-get").current_dir(&archives).args(["-q", "download"]).args(names))?;
        packages.iter().map(|package| package.verified_in(&archives)).collect()
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

/// What the signed lists say of a package.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    file_name: String,
    sha256: String,
}

impl Package {
    /// Out of a line of `--print-uris`: `'address' file-name size SHA256:digest`.
    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('\'')?.split_whitespace().skip(1);
        let (file_name, _size, digest) = (words.next()?, words.next()?, words.next()?);
        Some(Self { file_name: file_name.to_owned(), sha256: digest.strip_prefix("SHA256:")?.to_owned() })
    }

    fn verified_in(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(&self.file_name);
        let found = digest(&path)?;
        ensure!(found == self.sha256, "{} has SHA-256 {found}, not the {} of the lists", path.display(), self.sha256);
        Ok(path)
    }
}

/// SHA-256 of a file in lower-case hexadecimal digits.
fn digest(path: &Path) -> Result<String> {
    // The largest package has 90 MB; read whole, it needs no loop.
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let hash = Sha256::digest(bytes);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
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
    fn a_package_that_differs_from_the_signed_lists_is_refused() {
        let line = "'http://mirror.example/z_1%3a1.deb' z_1%3a1.deb 3 \
                    SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let package = Package::of_line(line).expect("the line is one of apt's");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("z_1%3a1.deb");
        assert!(package.verified_in(folder.path()).is_err(), "the file is not there yet");

        std::fs::write(&file, "abc").expect("the folder can be written to");
        assert_eq!(package.verified_in(folder.path()).expect("the digest is that of abc"), file);
        std::fs::write(&file, "abd").expect("the folder can be written to");
        let error = package.verified_in(folder.path()).expect_err("the size is right and the bytes are not");
        assert!(error.to_string().contains("z_1%3a1.deb"), "{error}");
        assert_eq!(Package::of_line("Reading package lists..."), None);
    }

    #[test]
    fn reads_dependencies_and_takes_the_first_of_alternatives() {
        let answer = "rustc\n  Depends: libc6\n  PreDepends: libgcc-s1:amd64\n |Depends: gcc\n |Depends: clang\n  Depends: tcc\n  \
                      Depends: binutils\n  Depends: <libc-dev>\n    libc6-dev\nzlib1g\n  Depends: libc6\n";
        let names: Vec<_> = dependencies(answer).collect();
        assert_eq!(names, ["libc6", "libgcc-s1", "gcc", "binutils", "libc6"]);
    }
}
