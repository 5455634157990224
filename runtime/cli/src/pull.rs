//! `wisp pull`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wisp_registry::{ArtifactName, Pulled, pull};

use crate::GlobalOptions;
use crate::progress::Console;
use crate::registries::{RegistryFlags, ResultFlags, runtime};

/// Pull a Wasm module or a model from a registry, verified, and print where it lies.
///
/// Without --output it goes into the cache under its digest, where `guest = "oci:REF@sha256:DIGEST"` and `source = "oci:…"` of a
/// configuration find it. A download that was interrupted goes on where it ended. Machine code, and layers that would write
/// outside their folder, are refused.
#[derive(Args)]
pub(crate) struct Pull {
    /// What: REGISTRY/REPOSITORY:TAG, or REGISTRY/REPOSITORY@sha256:DIGEST for exactly this content.
    #[arg(value_name = "REF")]
    reference: ArtifactName,
    /// Put it here instead: a file for a module, a folder for a model, which must not be there yet.
    #[arg(long, short, env = "WISP_OUTPUT", value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    result: ResultFlags,
    #[command(flatten)]
    registries: RegistryFlags,
}

#[derive(Serialize)]
struct Report {
    kind: &'static str,
    reference: String,
    digest: String,
    pinned: String,
    path: PathBuf,
    is_cached: bool,
}

impl Pull {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let (store, console) = (options.store()?, Console::new());
        let options = self.registries.options();
        let pulled = runtime()?.block_on(pull(&self.reference, self.output.as_deref(), &store, &options, &console))?;
        let Pulled { kind, reference, pinned, digest, path, is_cached } = pulled;
        let remark = format!("{} {pinned}{}", kind.name(), if is_cached { " (was in the cache)" } else { "" });
        let line = path.display().to_string();
        let report = Report { kind: kind.name(), reference, digest: digest.to_oci(), pinned, path, is_cached };
        self.result.tell(digest, &report, &remark, line)
    }
}
