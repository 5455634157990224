//! `wisp pull`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wisp_registry::{ArtifactName, Pulled, pull};

use crate::progress::Console;
use crate::push::write_digest;
use crate::registries::{RegistryFlags, runtime};
use crate::{Format, GlobalOptions, output};

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
    /// Write the digest into this file, for scripts that pin it.
    #[arg(long, env = "WISP_DIGEST_FILE", value_name = "FILE")]
    digest_file: Option<PathBuf>,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
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
        write_digest(self.digest_file.as_deref(), pulled.digest)?;
        let Pulled { kind, reference, pinned, digest, path, is_cached } = pulled;
        if self.format == Format::Json {
            let digest = format!("sha256:{digest}");
            let report = Report { kind: kind.name(), reference, digest, pinned, path, is_cached };
            output::line(serde_json::to_string_pretty(&report)?)?;
            return Ok(());
        }
        eprintln!("{} {pinned}{}", kind.name(), if is_cached { " (was in the cache)" } else { "" });
        output::line(path.display())?;
        Ok(())
    }
}
