//! `wisp bench`: measure, and write the report to where it is wanted.

mod compare;
mod devices;
mod flags;
mod write;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;
use wisp_bench::cold::start_parts;
use wisp_bench::{Setting, measure, pools};

use self::flags::Flags;
use self::write::BenchFormat;
use crate::GlobalOptions;
use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;
use crate::signals::StopSignals;

/// Measure throughput, latency and starts, with every answer checked.
///
/// Without flags: starts a server of its own on a loopback port and embeds short, mixed and long texts with 1, 8 and 32 clients.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    flags: Flags,
    /// Form of the result on standard output.
    #[arg(long, env = "WISP_BENCH_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: BenchFormat,
    /// Write the report to this file as well, in the form that its ending names: .json, .html, .md, .csv, .txt.
    #[arg(long, env = "WISP_BENCH_OUTPUT", value_name = "FILE", value_parser = write::check_ending)]
    output: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// What is done with benchmarks beside measuring.
#[derive(Subcommand)]
enum BenchCommand {
    /// Compare two reports: what became slower or faster beyond noise. Fails on a regression.
    Compare(compare::Compare),
    /// Measure every backend, device and precision of this machine in a few shapes, and print a configuration.
    Devices(devices::BenchDevices),
    /// Measure the parts of a start in this process, for `--cold`.
    #[command(hide = true)]
    StartParts {
        #[command(flatten)]
        config: ConfigOptions,
        /// The deployment.
        #[arg(long, value_name = "NAME")]
        deployment: String,
    },
}

impl BenchCommand {
    fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        match self {
            Self::Compare(command) => command.run(),
            Self::Devices(command) => command.run(options),
            Self::StartParts { config, deployment } => {
                let store = options.store()?;
                let parts = start_parts(&config.read_and_fetch(&store)?, &store, &deployment)?;
                Ok(crate::output::line(serde_json::to_string(&parts)?)?)
            }
        }
    }
}

/// What was measured is a failure, and stands on standard output.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Failed {
    reason: String,
    /// 130 as of a program that Ctrl-C ended, 1 for everything else.
    pub(crate) exit_code: u8,
}

impl Bench {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        if let Some(command) = self.command {
            return command.run(options);
        }
        let mut config = self.config.read()?;
        self.placement.apply(&mut config);
        let plan = self.flags.plan();
        if let Some(file) = self.flags.write_texts() {
            let lines: Vec<_> = pools(&plan)?.into_iter().flat_map(|pool| pool.texts.to_vec()).collect();
            return std::fs::write(file, lines.join("\n") + "\n").with_context(|| file.display().to_string());
        }
        let program = std::env::current_exe().context("the path of this program")?;
        let (stop, store, console) = (CancellationToken::new(), options.store()?, Console::new());
        self.config.registries.fetch_blocking(&config, &store)?;
        let signals = stop_on_signals(&stop)?;
        let setting =
            Setting { plan: &plan, config: &config, program: &program, store: &store, progress: &console, stop };
        let report = measure(&setting)?;
        drop(signals);
        // What there is is written before anything can fail because of it.
        write::print(&report, self.format)?;
        self.output.iter().try_for_each(|file| write::write(&report, file))?;
        match report.failure() {
            Some(reason) => {
                let exit_code = if setting.stop.is_cancelled() { 130 } else { 1 };
                Err(Failed { reason, exit_code }.into())
            }
            None => Ok(()),
        }
    }
}

/// The first Ctrl-C or SIGTERM ends the benchmark and prints what there is; the second one ends the process.
fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _entered = runtime.enter();
    let mut signals = StopSignals::listen()?;
    let stop = stop.clone();
    runtime.spawn(async move {
        for exit_code in [None, Some(130)] {
            signals.recv().await;
            match exit_code {
                None => stop.cancel(),
                // Sessions still compute.
                Some(code) => wisp_engine::end_process(code),
            }
        }
    });
    Ok(runtime)
}
