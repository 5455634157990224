//! `cargo xtask e2e`: what the pods need, fetched and built; then the pods, on private containerds of two versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::assets::MODEL;
use crate::bundle::{self, Bundle};
use crate::containerd::Programs;
use crate::process::{cargo, run, run_within};
use crate::progress::Step;
use crate::setup::{self, Workplace};
use crate::shim;

/// The package of the harness, which is no default member.
pub(crate) const PACKAGE: &str = "wisp-e2e";

/// Which runtime handler runs the embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Handler {
    /// The shim, out of a bundle.
    Wisp,
    /// runc, with the engine mounted from this machine: tries the checks themselves.
    Runc,
}

/// Options of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What runs the embedder.
    #[arg(long, value_enum, default_value = "wisp")]
    handler: Handler,
    /// A bundle that was laid out already; otherwise one for tests is made, with Candle alone.
    #[arg(long, value_name = "FOLDER", env = "WISP_E2E_BUNDLE")]
    bundle: Option<PathBuf>,
    /// Only checks whose name contains this.
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Only containerd of this generation: 1 or 2.
    #[arg(long, value_name = "1|2", value_parser = ["1", "2"])]
    containerd: Option<String>,
    /// Write the result as JSON.
    #[arg(long)]
    json: bool,
    /// Leave containerd and its folder as they are, to look around.
    #[arg(long)]
    keep: bool,
}

/// Sets up, builds the harness and runs it.
pub(crate) fn e2e(workplace: &Workplace, arguments: &Arguments) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "pods need Linux");
    ensure!(
        rustix::process::geteuid().is_root(),
        "pods need root for control groups, mounts and namespaces; run `cargo xtask e2e` as root"
    );
    setup::prepare(workplace)?;

    let bundle = match (arguments.handler, &arguments.bundle) {
        (Handler::Runc, _) => None,
        (Handler::Wisp, Some(bundle)) => Some(std::path::absolute(bundle).context("the bundle has no absolute path")?),
        (Handler::Wisp, None) => {
            let options = Bundle::for_tests();
            bundle::bundle(workplace, &options)?;
            Some(options.folder(workplace))
        }
    };

    let step = Step::begin("containerd");
    let programs = Programs::ensure(&workplace.home.tools(), &step)?;
    step.done(&programs.describe()?);

    let step = Step::begin("harness");
    let mut build = cargo();
    build.current_dir(workplace.repository.root()).args(["build", "--package", PACKAGE]);
    run_within(&step, &mut build)?;
    step.done("built in target/debug");
    run(&mut harness(workplace, &programs, bundle.as_deref(), arguments))
        .context("a check of the pods failed, see the table above")
}

fn harness(workplace: &Workplace, programs: &Programs, bundle: Option<&Path>, arguments: &Arguments) -> Command {
    let repository = &workplace.repository;
    let mut command = Command::new(repository.binary(PACKAGE));
    command.env("WISP_HOME", workplace.home.root());
    let generations = programs.containerd.iter().enumerate();
    let wanted = generations.filter(|(index, _)| {
        arguments.containerd.as_deref().is_none_or(|generation| generation == (index + 1).to_string())
    });
    for (_, folder) in wanted {
        command.arg("--containerd").arg(folder);
    }
    let engine = match bundle {
        Some(bundle) => {
            command.arg("--shim").arg(bundle.join("bin").join(shim::PROGRAM));
            bundle.join("bin/wisp")
        }
        None => repository.binary("wisp"),
    };
    let files: [(&str, PathBuf); 4] = [
        ("--runc", programs.runc.clone()),
        ("--engine", engine),
        ("--module", repository.built_guests().join("embedder.wasm")),
        ("--model", repository.root().join("models").join(MODEL)),
    ];
    for (option, path) in files {
        command.arg(option).arg(path);
    }
    if let Some(pattern) = &arguments.only {
        command.arg("--only").arg(pattern);
    }
    if arguments.json {
        command.args(["--format", "json"]);
    }
    if arguments.keep {
        command.arg("--keep");
    }
    command
}
