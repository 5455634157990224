//! `wisp models calibrate`: ranges of activations, for the static int8 form.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use wisp_model_export::calibration::observe::DEFAULT_OUTLIERS;
use wisp_model_store::Store;

use crate::progress::Console;
use crate::{output, texts};

#[derive(Args)]
pub(crate) struct Calibrate {
    /// A built-in model, an imported one, or a folder with a model.toml.
    #[arg(value_name = "MODEL")]
    model: String,
    /// Texts to run, one a line. Not the golden ones: they are to prove what comes out.
    #[arg(long, env = "WISP_CALIBRATE_TEXTS", value_name = "FILE")]
    texts: PathBuf,
    /// Where to write the ranges, as JSON.
    #[arg(long, env = "WISP_CALIBRATE_OUTPUT", value_name = "FILE")]
    output: PathBuf,
    /// Channels of each activation that stay f32, those of the largest values. More are more accurate and slower.
    #[arg(long, env = "WISP_CALIBRATE_OUTLIERS", default_value_t = DEFAULT_OUTLIERS, value_name = "N")]
    outliers: usize,
}

impl Calibrate {
    pub(crate) fn run(self, store: &Store) -> anyhow::Result<()> {
        let texts = texts::collect(Vec::new(), std::slice::from_ref(&self.texts))?;
        let model = store.open(&self.model)?;
        let ranges = wisp_engine::calibrate(&model, &texts, self.outliers, store, &Console::new())?;
        std::fs::write(&self.output, ranges.to_json(&self.output)?)
            .with_context(|| self.output.display().to_string())?;
        output::line(format_args!(
            "{}: {} activations over {} texts of {} tokens",
            self.output.display(),
            ranges.activations.len(),
            ranges.texts,
            ranges.tokens
        ))?;
        Ok(())
    }
}
