//! `cargo xtask lint`: formatting, Clippy and documentation of every workspace, without a single warning.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::guests::TOKENIZER_VARIABLE;
use crate::process::{cargo, run};
use crate::progress::readable_duration;
use crate::setup::{self, Workplace};
use crate::shim::{self, StaticLibraries};

/// One check and what it is called.
struct Check {
    name: &'static str,
    command: Command,
}

/// Runs every check even when one fails, and names those that did.
pub(crate) fn lint(workplace: &Workplace) -> Result<()> {
    // The guest that carries its own tokenizer is compiled from the model's files, for checks as for builds.
    let prepared = setup::prepare_guests(workplace)?;
    let shim = StaticLibraries::look(workplace).ok();
    let mut failed = Vec::new();
    for Check { name, mut command } in checks(workplace, shim.as_ref()) {
        eprintln!("\nChecking {name}");
        let started = Instant::now();
        command.env(TOKENIZER_VARIABLE, &prepared.tokenizer);
        match run(&mut command) {
            Ok(()) => eprintln!("  ✓ {name} in {}", readable_duration(started.elapsed())),
            Err(error) => {
                eprintln!("  ✗ {name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    Ok(())
}

fn checks(workplace: &Workplace, shim: Option<&StaticLibraries>) -> Vec<Check> {
    let repository = &workplace.repository;
    let host = || {
        let mut command = cargo();
        command.current_dir(repository.root());
        command
    };
    let mut checks = Vec::new();
    let mut add = |name, mut command: Command, arguments: &[&str]| {
        command.args(arguments);
        checks.push(Check { name, command });
    };
    let clippy = ["--all-targets", "--", "-D", "warnings"];

    add("formatting", host(), &["fmt", "--all", "--check"]);
    // All members at once, so that what they depend on is checked once: unlike a build, a check may unite their features.
    let members = |subcommand: &str| {
        let mut command = with(host(), &[subcommand, "--workspace"]);
        match shim {
            Some(libraries) => libraries.locate(&mut command),
            None => drop(command.args(["--exclude", shim::PACKAGE])),
        }
        command
    };
    add("the host with Clippy", members("clippy"), &clippy);
    add("the host's documentation", with_strict_docs(members("doc")), &["--no-deps"]);

    // Their compiler is a nightly one, which only those who fuzz have.
    let mut fuzz = with(host(), &["fmt", "--manifest-path"]);
    fuzz.arg(repository.fuzz_workspace());
    add("formatting of fuzz targets", fuzz, &["--check"]);

    // Guests import their host, so only their pure parts can run here; but all of them can be checked here.
    let guest = |subcommand: &str, manifest: PathBuf| {
        let mut command = with(host(), &[subcommand, "--manifest-path"]);
        command.arg(manifest).env("CARGO_TARGET_DIR", repository.native_guest_builds());
        command
    };
    add("formatting of guests", guest("fmt", repository.guest_workspace()), &["--all", "--check"]);
    add("the guest SDK with Clippy", guest("clippy", repository.guest_sdk()), &clippy);
    add("the guests with Clippy", with(guest("clippy", repository.guest_workspace()), &["--workspace"]), &clippy);
    add("the guest SDK's documentation", with_strict_docs(guest("doc", repository.guest_sdk())), &["--no-deps"]);
    let mut documented = with_strict_docs(guest("doc", repository.guest_workspace()));
    documented.arg("--workspace");
    add("the guests' documentation", documented, &["--no-deps"]);
    checks
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn with_strict_docs(mut command: Command) -> Command {
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::Choice;

    #[test]
    fn every_workspace_is_formatted_checked_and_documented() {
        let workplace = Workplace::open(Choice::Auto).expect("the test runs in the checkout");
        let lines: Vec<String> = checks(&workplace, None)
            .iter()
            .map(|check| check.command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
            .collect();
        let count = |word: &str| lines.iter().filter(|line| line.split(' ').next() == Some(word)).count();
        // `fmt --all` reaches path dependencies, so the guests' workspace brings the SDK along.
        assert_eq!((count("fmt"), count("clippy"), count("doc")), (3, 3, 3), "{lines:?}");
        assert!(
            lines.contains(&"clippy --workspace --exclude wisp-shim --all-targets -- -D warnings".to_owned()),
            "{lines:?}"
        );
        assert!(lines.iter().filter(|line| line.starts_with("clippy")).all(|line| line.ends_with("-- -D warnings")));
    }
}
