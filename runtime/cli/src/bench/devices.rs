//! `wisp bench devices`.

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use wisp_bench::Setting;
use wisp_bench::devices::{configuration, survey};
use wisp_bench::output::{number, table};
use wisp_bench::plan::Plan;

use super::write::BenchFormat;
use super::{Failed, stop_on_signals, write};
use crate::placement::ConfigOptions;
use crate::progress::Console;
use crate::{GlobalOptions, output};

/// Measure every backend, device and precision that this machine has, in three shapes of batches, and print the configuration that
/// follows.
#[derive(Args)]
pub(super) struct BenchDevices {
    #[command(flatten)]
    config: ConfigOptions,
    /// Form of the result on standard output.
    #[arg(long, env = "WISP_BENCH_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: BenchFormat,
}

impl BenchDevices {
    pub(super) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let (store, console) = (options.store()?, Console::new());
        let config = self.config.read_and_fetch(&store)?;
        let program = std::env::current_exe().context("the path of this program")?;
        let stop = CancellationToken::new();
        let signals = stop_on_signals(&stop)?;
        // What is measured is what the machine has.
        let plan = Plan::default();
        let backends = wisp_engine::devices(&store);
        let setting =
            Setting { plan: &plan, config: &config, program: &program, store: &store, progress: &console, stop };
        let (ranked, report) = survey(&setting, &backends)?;
        drop(signals);
        write::print(&report, self.format)?;
        if ranked.is_empty() {
            let reason = report.failure().unwrap_or_else(|| "interrupted".to_owned());
            return Err(Failed { reason, exit_code: 1 }.into());
        }
        if self.format == BenchFormat::Table {
            let mut sheet = wisp_bench::output::sheets::Sheet::new(&[
                "best on this machine",
                "precision",
                "texts/s, mean of shapes",
            ]);
            for entry in &ranked {
                sheet.rows.push(vec![entry.placement.to_string(), entry.precision.to_string(), number(entry.score)]);
            }
            output::line(table::draw(&sheet))?;
            let models: Vec<_> = config.models.keys().map(String::as_str).collect();
            output::line(format_args!("\n# wisp.toml\n{}", configuration(&ranked, &models).trim_end()))?;
        }
        Ok(())
    }
}
