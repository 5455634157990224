//! The documents of the OCI image format: manifests, indexes, and the configurations that Wisp writes.
//!
//! Formats: <https://github.com/opencontainers/image-spec> (manifest, image index, config) and the layout of Wasm artifacts
//! of the CNCF TAG Runtime, <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>. Keys come in the order of
//! the fields, so that equal content has equal digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wisp_model_store::Sha256Digest;

use crate::RegistryError;

/// Media types.
pub(crate) mod media {
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    pub(crate) const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub(crate) const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub(crate) const DOCKER_TAR_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
    pub(crate) const WASM: &str = "application/wasm";
    /// What tools wrote before [`WASM`] was agreed on.
    pub(crate) const OLD_WASM: [&str; 2] =
        ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"];
}

/// The annotation that names the file of a layer; `oras pull` writes only layers that have one.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";

/// What another document points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// A manifest: a configuration and layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u8,
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An index: one manifest a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u8,
    pub(crate) media_type: Option<String>,
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Either of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Configuration of a Wasm artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WasmConfig {
    /// A fixed time: equal modules have equal digests.
    pub(crate) created: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) layer_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<WasmComponent>,
}

/// What a component gives and needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WasmComponent {
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<String>,
}

/// Configuration of an image with files alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImageConfig {
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) config: BTreeMap<(), ()>,
    pub(crate) rootfs: RootFs,
}

/// Digests of the layers, unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RootFs {
    pub(crate) r#type: &'static str,
    pub(crate) diff_ids: Vec<String>,
}

impl Descriptor {
    /// Points at these bytes.
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::named(media_type, Sha256Digest::of(bytes), bytes.len() as u64)
    }

    pub(crate) fn named(media_type: &str, digest: Sha256Digest, size_bytes: u64) -> Self {
        let digest = digest.to_oci();
        Self { media_type: media_type.to_owned(), digest, size: size_bytes, platform: None, annotations: None }
    }

    /// The digest, if it is of the kind that is verified here.
    pub(crate) fn sha256(&self) -> Result<Sha256Digest, RegistryError> {
        let digest = Sha256Digest::from_oci(&self.digest);
        digest.ok_or_else(|| RegistryError::Unsupported {
            reference: self.digest.clone(),
            found: "its digest is not sha256, and no other is verified here".to_owned(),
        })
    }

    pub(crate) fn title(&self) -> Option<&str> {
        self.annotations.as_ref()?.get(TITLE).map(String::as_str)
    }
}

impl Document {
    /// Reads the body that a registry answered with; `reference` is for messages.
    pub(crate) fn parse(body: &[u8], reference: &str) -> Result<Self, RegistryError> {
        let wrong = |found: String| RegistryError::Unsupported { reference: reference.to_owned(), found };
        let value: serde_json::Value =
            serde_json::from_slice(body).map_err(|error| wrong(format!("its manifest is no JSON: {error}")))?;
        let media_type = value.get("mediaType").and_then(|value| value.as_str()).unwrap_or_default();
        let is_index = match media_type {
            media::INDEX | media::DOCKER_INDEX => true,
            media::MANIFEST | media::DOCKER_MANIFEST => false,
            "" => value.get("manifests").is_some(),
            other => return Err(wrong(format!("its manifest is of type `{other}`"))),
        };
        let malformed = |error: serde_json::Error| wrong(format!("its manifest is malformed: {error}"));
        let document = if is_index {
            serde_json::from_value(value).map(Self::Index)
        } else {
            serde_json::from_value(value).map(Self::Manifest)
        };
        document.map_err(malformed)
    }
}

/// JSON without blanks, as digests are made of it.
pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents are made of texts, numbers and lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_what_is_none_is_refused() {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            config: Descriptor::of(media::WASM_CONFIG, b"{}"),
            layers: vec![Descriptor::of(media::WASM, b"\0asm")],
            annotations: BTreeMap::new(),
        };
        let body = to_json(&manifest);
        assert_eq!(Document::parse(&body, "r/x").expect("as written"), Document::Manifest(manifest));
        let unnamed = Document::parse(br#"{"schemaVersion":2,"manifests":[]}"#, "r/x").expect("an old index");
        assert!(matches!(unnamed, Document::Index(_)));
        for body in
            ["", "{}", "[]", r#"{"schemaVersion":2,"mediaType":"text/html"}"#, r#"{"config":{"size":-1},"layers":[]}"#]
        {
            let error = Document::parse(body.as_bytes(), "r/x").expect_err(body).to_string();
            assert!(error.starts_with("r/x is neither a Wasm module nor a model: its manifest"), "{error}");
        }
    }

    #[test]
    fn only_sha256_is_verified() {
        let mut descriptor = Descriptor::of(media::WASM, b"abc");
        assert_eq!(descriptor.sha256().expect("ours"), Sha256Digest::of(b"abc"));
        descriptor.digest = "sha512:00".to_owned();
        assert!(descriptor.sha256().is_err());
    }
}
