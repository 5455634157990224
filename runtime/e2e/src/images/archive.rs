//! An image as an OCI layout in one tar archive, which containerd imports without a registry.
//!
//! After the OCI image specification 1.1: `image-layout.md`, `manifest.md` and `config.md`.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::layer::Layer;

/// An image's configuration and layers.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// The name that pods use.
    pub(crate) name: String,
    config_type: &'static str,
    config: Value,
    layers: Vec<(&'static str, Vec<u8>)>,
}

/// The media type of a layer of files.
const FILES: &str = "application/vnd.oci.image.layer.v1.tar";

/// The platform of a container image, in the words of OCI.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Image {
    /// A container image of one layer of files.
    pub(crate) fn of_files(name: &str, architecture: &str, entrypoint: &[&str], layer: Layer) -> Result<Self> {
        let bytes = layer.finish()?;
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Entrypoint": entrypoint, "Env": ["PATH=/"], "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [digest(&bytes)] },
        });
        let config_type = "application/vnd.oci.image.config.v1+json";
        Ok(Self { name: name.to_owned(), config_type, config, layers: vec![(FILES, bytes)] })
    }

    /// A Wasm artifact as `wkg` makes it: one layer that is the component itself.
    pub(crate) fn of_component(name: &str, component: &[u8]) -> Self {
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [digest(component)],
        });
        let config_type = "application/vnd.wasm.config.v0+json";
        let layers = vec![("application/wasm", component.to_vec())];
        Self { name: name.to_owned(), config_type, config, layers }
    }

    /// The archive's bytes.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let config = self.config.to_string().into_bytes();
        let described = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": described(self.config_type, &config),
            "layers": self.layers.iter().map(|(kind, bytes)| described(kind, bytes)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = described(manifest_type, &manifest);
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });

        let mut files = Layer::new()
            .file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?
            .file("index.json", 0o644, index.to_string().as_bytes())?
            .folder("blobs")?
            .folder("blobs/sha256")?;
        for bytes in [&config, &manifest].into_iter().chain(self.layers.iter().map(|(_, bytes)| bytes)) {
            files = files.file(&format!("blobs/sha256/{}", hexadecimal(bytes)), 0o644, bytes)?;
        }
        files.finish()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_is_named_by_its_digest() {
        let image = Image::of_component("wisp.test/module:1", b"\0asm").archive().expect("small names fit");
        let mut archive = tar::Archive::new(image.as_slice());
        let mut blobs = 0;
        for entry in archive.entries().expect("it is an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).expect("bytes in memory can be read");
            if let Some(name) = path.strip_prefix("blobs/sha256/").filter(|name| !name.is_empty()) {
                assert_eq!(name, hexadecimal(&bytes));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }
}
