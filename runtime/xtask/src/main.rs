//! `cargo xtask`: set-up, demo and checks of the repository.

#![forbid(unsafe_code)]

mod assets;
mod browser;
mod bundle;
mod check;
mod containerd;
mod demo;
mod deny;
mod doctor;
mod e2e;
mod go_tools;
mod guests;
mod lint;
mod packages;
mod process;
mod progress;
mod python_client;
mod python_packages;
mod repository;
mod serve;
mod setup;
mod shim;
mod skips;
mod toolchain;
mod tools;
mod triton_client;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use setup::Workplace;
use toolchain::Choice;

/// Set-up, demo and checks of Wisp. Everything that is fetched lands in WISP_HOME (default ~/.cache/wisp), everything that is
/// built in target/.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    /// Where the guests' compiler comes from.
    #[arg(long, global = true, env = "WISP_GUEST_COMPILER", value_enum, default_value_t)]
    guest_compiler: Choice,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set up, then embed real sentences over gRPC through a sandboxed guest, and show the result.
    Demo,
    /// Set up, then run every test that this machine can run, and say which were skipped and why.
    Test,
    /// Fetch and build everything that is missing.
    Setup,
    /// Build the guests into target/guests.
    Guests,
    /// Lay out everything that a node needs in one folder: engine, loader, libraries, licences.
    Bundle(bundle::Bundle),
    /// Check formatting, Clippy and documentation of every workspace; no warning is allowed.
    Lint,
    /// Check licences, sources and banned crates of every workspace.
    Deny,
    /// Set up, then run pods on private containerds of two versions and check what they do. Needs root.
    E2e(e2e::Arguments),
    /// Show what is there and what is not, with the remedy for each.
    Doctor,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let workplace = Workplace::open(arguments.guest_compiler)?;
    match &arguments.command {
        Task::Demo => demo::demo(&workplace),
        Task::Test => check::test(&workplace),
        Task::Setup => setup::prepare_tests(&workplace).map(drop),
        Task::Guests => {
            let prepared = setup::prepare_guests(&workplace)?;
            print!("{}", guests::table(&prepared.guests));
            Ok(())
        }
        Task::Bundle(options) => bundle::bundle(&workplace, options),
        Task::Lint => lint::lint(&workplace),
        Task::Deny => deny::deny(&workplace),
        Task::E2e(arguments) => e2e::e2e(&workplace, arguments),
        Task::Doctor => doctor::doctor(&workplace),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
