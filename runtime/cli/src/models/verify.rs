//! `wisp models verify`: are the files those of the manifest, and does every backend compute what the golden vectors say?

use anyhow::bail;
use clap::Args;
use wisp_core::{BackendId, Device, Placement, Precision};
use wisp_engine::{PrecisionChoice, ProofScope};
use wisp_model_store::{FileState, Model, Store};

use crate::placement::PlacementOptions;
use crate::progress::Console;
use crate::{output, table};

/// Read every file of a model again, and compare every backend with all golden vectors.
#[derive(Args)]
pub(crate) struct Verify {
    /// A built-in model, or a folder with a model.toml.
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
        let precision = match self.placement.precision {
            Some(PrecisionChoice::Exactly(precision)) => precision,
            Some(PrecisionChoice::Auto) | None => Precision::F32,
        };
        let mut rows =
            table::with_header(&["placement", "precision", "vectors", "min. cosine", "max. error", "result"]);
        let mut failed = 0;
        for placement in self.placement.placements(&every) {
            let loaded = wisp_engine::load_model(model, placement, precision, ProofScope::All, store, progress);
            let cells = match loaded.map(|loaded| loaded.proof) {
                Ok(Some(proof)) => [
                    proof.vectors.to_string(),
                    format!("{:.7}", proof.min_cosine),
                    format!("{:.1e}", proof.max_abs_error),
                    "proven".to_owned(),
                ],
                Ok(None) => ["0", "–", "–", "loads; there are no golden vectors"].map(str::to_owned),
                Err(reason) => {
                    failed += 1;
                    ["–".to_owned(), "–".to_owned(), "–".to_owned(), reason]
                }
            };
            let [vectors, cosine, error, result] = cells;
            rows.add_row([placement.to_string(), precision.to_string(), vectors, cosine, error, result]);
        }
        output::line(rows)?;
        Ok(failed)
    }
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
