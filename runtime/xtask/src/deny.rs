//! `cargo xtask deny`: licences, sources and banned crates of every workspace, by cargo-deny and `deny.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{cargo, is_executable, run, run_within};
use crate::progress::Step;
use crate::setup::Workplace;

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// What is checked; the advisory database is not among it, since it lies on another server than crates do.
const CHECKS: [&str; 3] = ["bans", "licenses", "sources"];

/// Installs cargo-deny if need be and checks the workspaces of host, guests and guest SDK.
pub(crate) fn deny(workplace: &Workplace) -> Result<()> {
    let step = Step::begin("cargo-deny");
    let program = ensure(&workplace.home.tools(), &step)?;
    step.done(VERSION);

    let repository = &workplace.repository;
    let configuration = repository.root().join("deny.toml");
    for manifest in [repository.root().join("Cargo.toml"), repository.guest_workspace(), repository.guest_sdk()] {
        println!("{}", manifest.display());
        let mut command = Command::new(&program);
        command.arg("--manifest-path").arg(&manifest).arg("--config").arg(&configuration);
        // Two versions of a crate are worth knowing, but a page of trees for each hides what matters.
        command.args(["check", "--hide-inclusion-graph", "--allow", "duplicate"]).args(CHECKS);
        run(&mut command)?;
    }
    Ok(())
}

/// The program below `tools`, compiled there on first use; the folder appears only when it is complete.
fn ensure(tools: &Path, step: &Step) -> Result<PathBuf> {
    let folder = tools.join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if is_executable(&program) {
        return Ok(program);
    }
    let partial = tools.join(format!("cargo-deny-{VERSION}.partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    step.say("cargo install, once");
    let mut install = cargo();
    install.args(["install", "--locked", "--version", VERSION, "cargo-deny", "--root"]).arg(&partial);
    // It runs for a second, so compiling it in half the time is worth more than its speed.
    install.args(["--debug", "--config", "profile.dev.debug=false"]);
    run_within(step, &mut install)?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    std::fs::rename(&partial, &folder)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), folder.display()))?;
    Ok(program)
}
