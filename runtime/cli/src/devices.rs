//! `wisp devices`: every backend and device, found or not.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use wisp_core::{Placement, Precision};
use wisp_engine::ProofRecord;

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
        let store = options.store()?;
        let reports = wisp_engine::devices(&store);
        if self.format == Format::Json {
            output::line(serde_json::to_string_pretty(&reports)?)?;
            return Ok(());
        }
        let mut rows = table::with_header(&[
            "backend",
            "device",
            "usable",
            "version",
            "precisions",
            "proven here",
            "device and library, or reason",
        ]);
        let proofs = wisp_engine::proofs(&store);
        for report in &reports {
            for device in &report.devices {
                let precisions: Vec<_> = device.precisions.iter().map(ToString::to_string).collect();
                let placement = Placement { backend: report.backend, device: device.device };
                let library = report.library.as_ref().map_or("built in".to_owned(), |path| path.display().to_string());
                rows.add_row([
                    report.backend.to_string(),
                    device.device.to_string(),
                    if device.missing.is_none() { "yes" } else { "no" }.to_owned(),
                    report.version.clone().unwrap_or_else(|| "–".to_owned()),
                    precisions.join(", "),
                    proven(&proofs, placement),
                    device.missing.clone().unwrap_or_else(|| match &device.name {
                        Some(name) => format!("{name}, {library}"),
                        None => library,
                    }),
                ]);
            }
        }
        output::line(rows)?;
        Ok(())
    }
}

/// Models and precisions that are proven at a placement, by any process of this user.
fn proven(proofs: &[ProofRecord], placement: Placement) -> String {
    let is_proven = |record: &&ProofRecord| {
        record.placement == placement && matches!(record.outcome, wisp_engine::Outcome::Proven(_))
    };
    let mut models: BTreeMap<&str, BTreeSet<Precision>> = BTreeMap::new();
    for record in proofs.iter().filter(is_proven) {
        models.entry(&record.model).or_default().insert(record.precision);
    }
    let told = models.iter().map(|(model, precisions)| {
        let precisions: Vec<_> = precisions.iter().map(ToString::to_string).collect();
        format!("{model}: {}", precisions.join(", "))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "–".to_owned() } else { told.join("; ") }
}
