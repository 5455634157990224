//! A model in one folder, as it is mounted into pods: manifest, golden vectors and the files out of the cache.

use std::path::Path;

use anyhow::{Context, Result};
use wisp_model_store::{Access, GoldenVectors, Home, NoProgress, Store};

/// Puts the model whose manifest lies in `manifest` together in `folder`, and returns its golden vectors. Of its formats only
/// safetensors, which every engine runs.
pub(crate) fn assemble(manifest: &Path, folder: &Path) -> Result<GoldenVectors> {
    let store = Store::new(Home::from_env()?, Access::Online);
    let model = store.open(&manifest.display().to_string())?;
    std::fs::create_dir_all(folder.join("golden")).with_context(|| format!("cannot create {}", folder.display()))?;
    copy(&manifest.join("model.toml"), &folder.join("model.toml"))?;
    let golden = manifest.join("golden");
    for entry in std::fs::read_dir(&golden).with_context(|| format!("cannot read {}", golden.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", golden.display()))?;
        copy(&entry.path(), &folder.join("golden").join(entry.file_name()))?;
    }
    let weights = model.manifest.model_files().find(|file| file.path.ends_with(".safetensors"));
    let weights = weights.context("the model has no safetensors")?;
    let local = store.ensure(&model, weights, &NoProgress)?;
    let cache = local.file.parent().context("the weights lie in a folder")?;
    for entry in std::fs::read_dir(cache).with_context(|| format!("cannot read {}", cache.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", cache.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with('.') && !name.ends_with(".onnx") {
            copy(&path, &folder.join(name))?;
        }
    }
    let vectors = model.golden().context("the golden vectors cannot be read")?;
    vectors.with_context(|| format!("{} has no golden vectors", manifest.display()))
}

/// A hard link where that is possible, else a copy: pods only read.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() || std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
