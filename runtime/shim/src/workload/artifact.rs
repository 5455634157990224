//! Modules that are no file in a root file system but a layer of their image: WebAssembly artifacts as wkg, oras and others push them.

use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::step::Create;
use crate::workload::Module;
use crate::workload::content::{Containerd, Descriptor};
use crate::workload::entrypoint::check_module;

/// Media types of layers that are a module.
const MODULE_LAYERS: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];
/// Bytes that a manifest or index may have; registries refuse larger ones.
const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;
/// Indexes that lead to indexes; a bound for hostile images.
const MAX_INDEX_DEPTH: usize = 2;
/// How long containerd may take to hand everything over.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The fields of an image manifest or an image index (OCI image specification 1.1) that lead to a module.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Entry>,
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
}

impl From<Entry> for Descriptor {
    fn from(entry: Entry) -> Self {
        Self { media_type: entry.media_type, digest: entry.digest, size: entry.size }
    }
}

/// The module of the container's image, or `None` where the image is an ordinary one.
pub(super) fn module(request: &Create) -> Result<Option<Module>> {
    let failed =
        |reason: String| Error::Containerd { address: request.containerd.clone(), what: "the image".into(), reason };
    // One thread and gone before the library forks.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    runtime.block_on(async {
        let found = tokio::time::timeout(TIMEOUT, find(request)).await;
        found.map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))?
    })
}

async fn find(request: &Create) -> Result<Option<Module>> {
    let mut containerd = Containerd::connect(&request.containerd, &request.namespace).await?;
    let image = containerd.image_of(&request.container.id).await?;
    if image.is_empty() {
        return Ok(None);
    }
    let target = containerd.target_of(&image).await?;
    let manifest = manifest(&mut containerd, target, &image).await?;
    let Some(layer) = module_layer(manifest, &image)? else { return Ok(None) };
    let limit_bytes = request.options.module_limit_bytes;
    let bytes = containerd.read(&layer, &image, limit_bytes).await?;
    check_module(&image, &bytes, limit_bytes)?;
    Ok(Some(Module { name: image, bytes }))
}

/// Follows an index to the manifest for WebAssembly, or the only one.
async fn manifest(containerd: &mut Containerd, mut target: Descriptor, image: &str) -> Result<Manifest> {
    let malformed = |reason: String| Error::Setting { place: format!("the manifest of image `{image}`"), reason };
    for _ in 0..=MAX_INDEX_DEPTH {
        let bytes = containerd.read(&target, image, MANIFEST_LIMIT_BYTES).await?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if manifest.manifests.is_empty() {
            return Ok(manifest);
        }
        let is_wasm = |entry: &Entry| entry.platform.as_ref().is_some_and(|platform| platform.architecture == "wasm");
        let mut entries = manifest.manifests;
        let index = entries.iter().position(is_wasm).or((entries.len() == 1).then_some(0));
        let index = index.ok_or_else(|| malformed(format!("none of its {} platforms is `wasm`", entries.len())))?;
        target = entries.swap_remove(index).into();
    }
    Err(malformed("indexes lead to indexes".into()))
}

fn module_layer(manifest: Manifest, image: &str) -> Result<Option<Descriptor>> {
    let types = manifest.layers.iter().map(|layer| layer.media_type.clone()).collect::<Vec<_>>().join(", ");
    let mut modules: Vec<Entry> =
        manifest.layers.into_iter().filter(|layer| MODULE_LAYERS.contains(&layer.media_type.as_str())).collect();
    match modules.len() {
        0 => Ok(None),
        1 => Ok(modules.pop().map(Into::into)),
        found => Err(Error::ArtifactLayers { image: image.to_owned(), found, layers: types }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(types: &[&str]) -> Manifest {
        let entry =
            |(size, kind): (usize, &&str)| serde_json::json!({"mediaType": kind, "digest": "sha256:0", "size": size});
        let layers: Vec<_> = types.iter().enumerate().map(entry).collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "layers": layers})).expect("a manifest")
    }

    #[test]
    fn exactly_one_layer_is_the_module() {
        let found = module_layer(layers(&["text/plain", "application/wasm"]), "i").expect("one module");
        assert_eq!(found.expect("a module").size, 1);
        assert!(
            module_layer(layers(&["application/vnd.oci.image.layer.v1.tar+gzip"]), "i")
                .expect("an ordinary image")
                .is_none()
        );
        let error = module_layer(layers(&["application/wasm", "application/wasm"]), "i").expect_err("two").to_string();
        assert!(error.contains("has 2 WebAssembly layers"), "{error}");
    }
}
