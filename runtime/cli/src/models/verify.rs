//! `wisp models verify`: are the files those of the manifest, and does every backend compute what the golden vectors say?

use anyhow::bail;
use clap::Args;
use wisp_core::{BackendId, Device, Placement, Precision};
use wisp_engine::{PrecisionChoice, Proof};
use wisp_model_store::{FileState, Model, Store};

use crate::placement::PlacementOptions;
use crate::progress::Console;
use crate::{output, table};

/// Read every file of a model again, and compare every backend and precision with all golden vectors.
#[derive(Args)]
pub(crate) struct Verify {
    /// A built-in or imported model, or a folder with a model.toml.
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    placement: PlacementOptions,
}

impl Verify {
    pub(crate) fn run(self, store: &Store) -> anyhow::Result<()> {
        let progress = Console::new();
        let model = store.open(&self.model)?;
        let bad_files = verify_files(store, &model, &progress)?;
        if bad_files > 0 {
            bail!(
                "{bad_files} files are not those of the manifest; fetch them with `wisp models pull {} --force`",
                self.model
            );
        }
        let failed = self.verify_placements(store, &model, &progress)?;
        if failed > 0 {
            bail!("{failed} placements are not verified");
        }
        Ok(())
    }

    fn verify_placements(&self, store: &Store, model: &Model, progress: &Console) -> anyhow::Result<usize> {
        let every = BackendId::ALL.map(|backend| Placement { backend, device: Device::Cpu });
        let mut rows = table::with_header(&[
            "placement",
            "precision",
            "file",
            "min. cosine",
            "max. error",
            "rows",
            "padding",
            "speed",
            "result",
        ]);
        let mut failed = 0;
        for placement in self.placement.placements(&every) {
            for precision in self.precisions(model) {
                let proven = wisp_engine::prove_model(model, placement, precision, store, progress);
                for (file, proof) in proven.unwrap_or_else(|reason| vec![("–".to_owned(), Err(reason))]) {
                    failed += usize::from(proof.is_err() && self.is_needed(precision, placement, model));
                    let head = [placement.to_string(), precision.to_string(), file];
                    rows.add_row(head.into_iter().chain(cells(proof)));
                }
            }
        }
        output::line(rows)?;
        Ok(failed)
    }

    /// The precision that was asked for, or every one that the manifest has a tolerance for.
    fn precisions(&self, model: &Model) -> Vec<Precision> {
        match self.placement.precision {
            Some(PrecisionChoice::Exactly(precision)) => vec![precision],
            Some(PrecisionChoice::Auto) | None => Precision::ALL
                .into_iter()
                .filter(|&precision| precision == Precision::F32 || model.manifest.tolerance(precision).is_some())
                .collect(),
        }
    }

    /// What was asked for by name must be proven, and f32 wherever the manifest has a file for it. Whatever else a device
    /// cannot do or a proof refuses is a finding, not a failure.
    fn is_needed(&self, precision: Precision, placement: Placement, model: &Model) -> bool {
        let is_explicit = self.placement.precision.is_some() || self.placement.backend.is_some();
        let has_file = model.manifest.model_files().any(|file| file.backends.contains(&placement.backend));
        is_explicit || (precision == Precision::F32 && has_file)
    }
}

/// Figures and verdicts of a proof, or why there is none.
fn cells(proof: Result<Proof, String>) -> [String; 6] {
    let none = || "–".to_owned();
    let proof = match proof {
        Ok(proof) => proof,
        Err(reason) => return [none(), none(), none(), none(), none(), reason],
    };
    let (cosine, error, result) = match proof.golden {
        Some(golden) => {
            let result = format!("proven on {} golden cases", golden.cases);
            (format!("{:.7}", golden.min_cosine), format!("{:.1e}", golden.max_abs_error), result)
        }
        None => (none(), none(), "loads; there are no golden vectors".to_owned()),
    };
    let speed = proof.speed.map_or_else(none, |speed| speed.to_string());
    [cosine, error, proof.batching.rows.to_string(), proof.batching.padding.to_string(), speed, result]
}

/// Prints each file, and returns how many are there and wrong.
fn verify_files(store: &Store, model: &Model, progress: &Console) -> anyhow::Result<usize> {
    let mut bad_files = 0;
    for check in store.verify(model, progress) {
        let state = match &check.state {
            FileState::Missing => "not here".to_owned(),
            FileState::Unchecked | FileState::Verified => "verified".to_owned(),
            FileState::Differs(difference) => format!("WRONG: {difference}"),
            FileState::Unreadable(reason) => format!("UNREADABLE: {reason}"),
        };
        bad_files += usize::from(matches!(check.state, FileState::Differs(_) | FileState::Unreadable(_)));
        output::line(format_args!("{}: {state}", check.path))?;
    }
    Ok(bad_files)
}
