//! `wisp push`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wisp_model_store::{Manifest, Store};
use wisp_registry::{ArtifactName, Pushed, push_model, push_module};

use crate::GlobalOptions;
use crate::progress::Console;
use crate::registries::{RegistryFlags, ResultFlags, need_network, runtime};

/// Push a Wasm module or a model to a registry, and print its digest.
///
/// A module becomes an artifact of one layer, `application/wasm`, that oras, wkg and containerd understand. A model becomes a
/// container image with its files at the root, which Kubernetes mounts as an image volume; files that are missing are fetched
/// first, as `wisp models pull` does. Equal content has the same digest on every machine, and what the registry has is not sent
/// again.
#[derive(Args)]
pub(crate) struct Push {
    /// Where to: REGISTRY/REPOSITORY:TAG.
    #[arg(value_name = "REF")]
    reference: ArtifactName,
    /// A .wasm file, a folder with a model.toml, or the name of a built-in or imported model.
    #[arg(value_name = "FILE|MODEL")]
    source: String,
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
    size_bytes: u64,
    sent_bytes: u64,
}

impl Push {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let store = options.store()?;
        need_network(&store)?;
        let pushed = self.push(&store)?;
        let Pushed { kind, reference, pinned, digest, size_bytes, sent_bytes } = pushed;
        let remark = format!("{} {reference}: {size_bytes} bytes, {sent_bytes} of them sent", kind.name());
        let line = pinned.clone();
        let report = Report { kind: kind.name(), reference, digest: digest.to_oci(), pinned, size_bytes, sent_bytes };
        self.result.tell(digest, &report, &remark, line)
    }

    fn push(&self, store: &Store) -> anyhow::Result<Pushed> {
        let (console, options) = (Console::new(), self.registries.options());
        let path = PathBuf::from(&self.source);
        // A name of a model wins over a file of that name, as everywhere.
        let is_name = Manifest::builtin_names().contains(&self.source.as_str());
        if !is_name && path.is_file() {
            return Ok(runtime()?.block_on(push_module(&self.reference, &path, &options, &console))?);
        }
        if !is_name && path.is_dir() && !path.join("model.toml").is_file() {
            anyhow::bail!("{} has no model.toml; push a .wasm file, or the folder of a model", path.display());
        }
        let looks_like_file = self.source.contains('/') || path.extension().is_some_and(|end| end == "wasm");
        anyhow::ensure!(is_name || path.exists() || !looks_like_file, "{} does not exist", path.display());
        let model = store.open(&self.source)?;
        Ok(runtime()?.block_on(push_model(&self.reference, &model, store, &options, &console))?)
    }
}
