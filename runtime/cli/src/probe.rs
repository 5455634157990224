//! `wisp probe`: what the engine starts to look at a native library from another process.

use clap::Args;
use wisp_core::BackendId;

use crate::{GlobalOptions, output};

/// Print what one backend finds on this machine, as JSON.
#[derive(Args)]
pub(crate) struct Probe {
    /// The backend.
    #[arg(value_name = "BACKEND")]
    backend: BackendId,
}

/// The argument before the name of the backend.
const NAME: &str = "probe";

/// Has the engine look at libraries through this program.
pub(crate) fn install() {
    // A binary that was replaced while it runs cannot start itself; libraries are then loaded unseen, as without this.
    if let Ok(program) = std::env::current_exe() {
        wisp_engine::use_probe_program(program, vec!["--offline".to_owned(), NAME.to_owned()]);
    }
}

impl Probe {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let report = wisp_engine::probe_backend(&options.store()?, self.backend);
        let report = report.ok_or_else(|| anyhow::anyhow!("backend `{}` is not in this binary", self.backend))?;
        output::line(serde_json::to_string(&report)?)?;
        Ok(())
    }
}
