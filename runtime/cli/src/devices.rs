//! `wisp devices`: every backend and device, found or not.

use clap::Args;

use crate::{Format, GlobalOptions, output, table};

/// Show every backend and device: found or not, version, library, precisions, and what is missing.
#[derive(Args)]
pub(crate) struct Devices {
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

impl Devices {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let reports = wisp_engine::devices(&options.store()?);
        if self.format == Format::Json {
            output::line(serde_json::to_string_pretty(&reports)?)?;
            return Ok(());
        }
        let mut rows =
            table::with_header(&["backend", "device", "usable", "version", "precisions", "library or reason"]);
        for report in &reports {
            for device in &report.devices {
                let precisions: Vec<_> = device.precisions.iter().map(ToString::to_string).collect();
                let library = report.library.as_ref().map_or("built in".to_owned(), |path| path.display().to_string());
                rows.add_row([
                    report.backend.to_string(),
                    device.device.to_string(),
                    if device.missing.is_none() { "yes" } else { "no" }.to_owned(),
                    report.version.clone().unwrap_or_else(|| "–".to_owned()),
                    precisions.join(", "),
                    device.missing.clone().unwrap_or(library),
                ]);
            }
        }
        output::line(rows)?;
        Ok(())
    }
}
