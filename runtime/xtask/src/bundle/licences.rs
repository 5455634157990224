//! The licences of everything in a bundle: our own, those of crates, of native libraries, and of the C runtime.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use super::contents::Contents;
use crate::process::capture;
use crate::toolchain::host_platform;

/// The part that licences are.
pub(super) const PART: &str = "licences";

/// Packages of Debian whose files the bundle may carry.
const RUNTIME_PACKAGES: [&str; 3] = ["libc6", "libgcc-s1", "libstdc++6"];

/// Adds them to what the libraries brought themselves.
pub(super) fn add(contents: &mut Contents, repository: &Path, crates: &[&str]) -> Result<()> {
    contents.add_file(&repository.join("LICENSE"), "share/licenses/LICENSE", PART)?;
    contents.add_text(&crate_list(repository, crates)?, "share/licenses/crates.txt", PART)?;
    let mut runtime = Vec::new();
    for package in RUNTIME_PACKAGES {
        if let Some((version, copyright)) = installed(package) {
            contents.add_file(&copyright, &format!("share/licenses/{package}.txt"), PART)?;
            runtime.push(format!("  {package} {version}: share/licenses/{package}.txt\n"));
        }
    }
    contents.add_text(&notice(&runtime.concat()), "share/licenses/NOTICE", PART)
}

fn notice(runtime: &str) -> String {
    let runtime = if runtime.is_empty() {
        "  the C library, its loader and the compiler's libraries of the machine that this was built on\n"
    } else {
        runtime
    };
    format!(
        "Wisp, under the Apache License 2.0 (share/licenses/LICENSE).\n\
         \n\
         This bundle also holds\n\
         - crates that are linked into the programs: share/licenses/crates.txt;\n\
         - native libraries, with their licences and the notices of third parties in a folder each beside this file;\n\
         - unchanged libraries of the C runtime, which can be exchanged for others of the same interface:\n\
         {runtime}"
    )
}

/// Version and copyright file of a package, where the system is Debian's.
fn installed(package: &str) -> Option<(String, PathBuf)> {
    let mut command = std::process::Command::new("dpkg-query");
    let version = capture(command.args(["--show", "--showformat=${Version}", package])).ok()?;
    let copyright = PathBuf::from(format!("/usr/share/doc/{package}/copyright"));
    copyright.is_file().then_some((version, copyright))
}

/// Name, version and licence of every crate that these programs may be linked from on this platform. Cargo describes the whole
/// workspace or nothing, so it may have to download crates of programs that were not built here yet.
fn crate_list(repository: &Path, programs: &[&str]) -> Result<String> {
    let mut command = MetadataCommand::new();
    let options = ["--locked", "--filter-platform", &host_platform()?].map(str::to_owned);
    command.manifest_path(repository.join("Cargo.toml")).other_options(options);
    let metadata = command.exec().context("cargo cannot describe the workspace")?;
    let resolve = metadata.resolve.as_ref().context("cargo resolves the workspace")?;
    let name = |id: &cargo_metadata::PackageId| metadata.packages.iter().find(|package| &package.id == id);
    let roots = resolve.nodes.iter().map(|node| &node.id);
    let mut waiting: Vec<_> =
        roots.filter(|id| name(id).is_some_and(|package| programs.contains(&package.name.as_str()))).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id)
            && let Some(node) = resolve.nodes.iter().find(|node| &node.id == id)
        {
            let is_linked = |dependency: &&cargo_metadata::NodeDep| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal)
            };
            waiting.extend(node.deps.iter().filter(is_linked).map(|dependency| &dependency.pkg));
        }
    }
    let lines: BTreeSet<_> = seen
        .into_iter()
        .filter_map(name)
        .map(|package| {
            let licence = package.license.as_deref().unwrap_or("see its licence file");
            format!("{} {}: {licence}\n", package.name, package.version)
        })
        .collect();
    Ok(lines.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_listed_with_their_licences_and_without_those_of_tests() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let list = crate_list(&repository, &["wisp-cli"]).expect("the workspace is well formed");
        assert!(list.lines().any(|line| line.starts_with("wasmtime 48.") && line.contains("Apache-2.0")), "{list}");
        assert!(list.lines().all(|line| line.contains(": ") && !line.ends_with(": ")), "{list}");
        assert!(!list.contains("\nwisp-testing "), "only tests use it");
    }

    #[test]
    fn the_notice_names_the_runtime_it_was_given_or_says_where_it_is_from() {
        assert!(notice("  libc6 2.36: share/licenses/libc6.txt\n").ends_with("libc6.txt\n"));
        assert!(notice("").ends_with("that this was built on\n"));
    }
}
