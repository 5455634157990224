//! `cargo xtask test`: set-up, then every test that this machine can run, then what was skipped and why.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::e2e;
use crate::guests::TOKENIZER_VARIABLE;
use crate::process::{cargo, run};
use crate::progress::{Step, readable_duration};
use crate::python_client;
use crate::setup::{self, Prepared, Workplace};
use crate::shim::StaticLibraries;
use crate::skips::{self, REQUIRE_VARIABLE, SKIPS_VARIABLE};
use crate::triton_client;

/// One `cargo test` and how it ended.
struct Suite {
    name: &'static str,
    command: Command,
}

/// Sets up, runs all suites even when one fails, and reports.
pub(crate) fn test(workplace: &Workplace) -> Result<()> {
    let prepared = setup::prepare_tests(workplace)?;
    let step = Step::begin("Python client");
    let packages = python_client::ensure(workplace, &step)?;
    step.done(&format!("its packages are in {}", packages.display()));
    let step = Step::begin("Triton's clients");
    let triton_packages = triton_client::ensure(workplace, &step)?;
    step.done(&format!("their packages are in {}", triton_packages.display()));

    let skips_file = workplace.repository.skipped_tests();
    skips::clear(&skips_file)?;
    let shim = StaticLibraries::look(workplace);
    if let Err(error) = &shim {
        skips::add(&skips_file, &format!("tests of the shim: {error:#}"))?;
    }
    let mut failed = Vec::new();
    for Suite { name, mut command } in suites(workplace, &prepared, shim.as_ref().ok()) {
        eprintln!("\nTesting {name}");
        let started = Instant::now();
        command.env(python_client::PACKAGES_VARIABLE, &packages).env(SKIPS_VARIABLE, &skips_file);
        command.env(triton_client::PACKAGES_VARIABLE, &triton_packages);
        match run(&mut command) {
            Ok(()) => eprintln!("  ✓ {name} in {}", readable_duration(started.elapsed())),
            Err(error) => {
                eprintln!("  ✗ {name}: {error:#}");
                failed.push(name);
            }
        }
    }

    let skipped = skips::read(&skips_file)?;
    print!("{}", summary(&skipped));
    if !failed.is_empty() {
        bail!("tests failed in: {}", failed.join(", "));
    }
    let failures = skips::failures(&skipped);
    if failures > 0 {
        bail!("{failures} tests were skipped that can run here, and {REQUIRE_VARIABLE}=1 asks for all of them");
    }
    Ok(())
}

/// The workspace of the host, then the packages outside it, whose pure parts are tested on the host too.
fn suites(workplace: &Workplace, prepared: &Prepared, shim: Option<&StaticLibraries>) -> Vec<Suite> {
    let repository = &workplace.repository;
    let with_home = |mut command: Command| {
        command.current_dir(repository.root()).arg("test").arg("--no-fail-fast");
        command.env("WISP_HOME", workplace.home.root()).env(TOKENIZER_VARIABLE, &prepared.tokenizer);
        command
    };
    // The default members: with the others, cargo would give them other features and compile the Wasm compiler anew.
    let workspace = with_home(cargo());
    let mut e2e = with_home(cargo());
    e2e.args(["--package", e2e::PACKAGE]);
    let mut suites = vec![
        Suite { name: "the workspace", command: workspace },
        Suite { name: "the harness of the pods", command: e2e },
    ];
    if let Some(libraries) = shim {
        let mut shim = with_home(cargo());
        libraries.apply(&mut shim);
        suites.push(Suite { name: "the shim", command: shim });
    }
    for (name, manifest) in [("the guest SDK", repository.guest_sdk()), ("the guests", repository.guest_workspace())] {
        let mut command = with_home(cargo());
        command.env("CARGO_TARGET_DIR", repository.native_guest_builds()).arg("--manifest-path").arg(manifest);
        suites.push(Suite { name, command });
    }
    suites
}

fn summary(skipped: &[String]) -> String {
    if skipped.is_empty() {
        return "\nNo test was skipped.\n".to_owned();
    }
    let lines: String = skipped.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{} skipped:\n{lines}", skipped.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_lists_every_skipped_test_with_its_reason() {
        let skipped = ["gpu_runs: no GPU on this machine".to_owned(), "npu_runs: no NPU".to_owned()];
        let text = summary(&skipped);
        assert!(text.contains("2 skipped"), "{text}");
        assert!(skipped.iter().all(|line| text.contains(line)), "{text}");
        assert!(summary(&[]).contains("No test was skipped"));
    }
}
