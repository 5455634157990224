//! From files to an artifact in a registry.

use std::collections::BTreeMap;
use std::path::Path;

use oci_client::RegistryOperation;
use wisp_model_store::{Model, Progress, Sha256Digest, Store};

use crate::connection::Connection;
use crate::document::{self, Descriptor, ImageConfig, Index, Manifest, Platform, RootFs, TITLE, media};
use crate::layer::{Content, layers_of};
use crate::upload::upload;
use crate::{ArtifactKind, ArtifactName, RegistryError, RegistryOptions, module};

/// Processors that a model image has an entry for: the layers are the same, but container runtimes unpack only what names
/// their own.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// An artifact that is in the registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What it is.
    pub kind: ArtifactKind,
    /// The reference that it can be pulled by, tag included.
    pub reference: String,
    /// The same by digest, as configurations want it behind `oci:`.
    pub pinned: String,
    /// Digest of its manifest or index.
    pub digest: Sha256Digest,
    /// Length of all blobs.
    pub size_bytes: u64,
    /// Length of those that the registry did not have.
    pub sent_bytes: u64,
}

/// Pushes a file of WebAssembly as an artifact of one layer, in the layout of the CNCF's working group.
///
/// # Errors
/// [`RegistryError`]: for what is no WebAssembly before anything is sent.
pub async fn push_module(
    name: &ArtifactName,
    file: &Path,
    options: &RegistryOptions,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let tag = tag(name)?;
    let (bytes, config) = module::read(file, options.module_limit_bytes())?;
    let title = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut layer = Descriptor::of(media::WASM, &bytes);
    layer.annotations = Some(BTreeMap::from([(TITLE.to_owned(), title)]));
    let config = document::to_json(&config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.to_owned()),
        config: Descriptor::of(media::WASM_CONFIG, &config),
        layers: vec![layer.clone()],
        annotations: BTreeMap::new(),
    };
    let connection = Connection::open(name, options, RegistryOperation::Push).await?;
    let blobs = [(layer, Content::Bytes(bytes.into())), (manifest.config.clone(), Content::Bytes(config.into()))];
    let mut sent_bytes = 0;
    for (blob, content) in &blobs {
        sent_bytes += if upload(&connection, blob, content, progress).await? { blob.size } else { 0 };
    }
    let body = document::to_json(&manifest);
    let digest = Sha256Digest::of(&body);
    connection.put_document(tag, body, media::MANIFEST).await?;
    let size_bytes = blobs.iter().map(|(blob, _)| blob.size).sum();
    Ok(pushed(ArtifactKind::Module, name, digest, size_bytes, sent_bytes))
}

/// Pushes a model as a container image: its manifest, golden vectors and files at the root, what is missing of them fetched
/// first. Equal models have equal digests.
///
/// # Errors
/// [`RegistryError`].
pub async fn push_model(
    name: &ArtifactName,
    model: &Model,
    store: &Store,
    options: &RegistryOptions,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let tag = tag(name)?;
    let files = store.package(model, progress)?;
    let size_bytes: u64 = files.iter().map(wisp_model_store::PackagedFile::size_bytes).sum();
    let limit_bytes = options.model_limit_bytes();
    if size_bytes > limit_bytes {
        return Err(RegistryError::TooLarge {
            what: format!("model `{}`", model.manifest.name),
            size_bytes,
            limit_bytes,
        });
    }
    let layers = describe(layers_of(files), progress)?;
    let connection = Connection::open(name, options, RegistryOperation::Push).await?;
    let (mut sent_bytes, mut size_bytes) = (0, 0);
    for (layer, content) in &layers {
        size_bytes += layer.size;
        sent_bytes += if upload(&connection, layer, content, progress).await? { layer.size } else { 0 };
    }
    let mut manifests = Vec::new();
    for architecture in ARCHITECTURES {
        let (manifest, config) = image(model, &layers, architecture);
        size_bytes += manifest.config.size;
        let is_sent = upload(&connection, &manifest.config, &Content::Bytes(config.into()), progress).await?;
        sent_bytes += if is_sent { manifest.config.size } else { 0 };
        let body = document::to_json(&manifest);
        let mut entry = Descriptor::of(media::MANIFEST, &body);
        entry.platform = Some(Platform { architecture: architecture.to_owned(), os: "linux".to_owned() });
        connection.put_document(&entry.digest, body, media::MANIFEST).await?;
        manifests.push(entry);
    }
    let media_type = Some(media::INDEX.to_owned());
    let index = Index { schema_version: 2, media_type, manifests, annotations: annotations(model) };
    let body = document::to_json(&index);
    let digest = Sha256Digest::of(&body);
    connection.put_document(tag, body, media::INDEX).await?;
    Ok(pushed(ArtifactKind::Model, name, digest, size_bytes, sent_bytes))
}

/// A digest follows from the content, so that nothing can be pushed to one.
fn tag(name: &ArtifactName) -> Result<&str, RegistryError> {
    let wrong = |reason: &str| RegistryError::Reference { reference: name.to_string(), reason: reason.to_owned() };
    match (name.pinned(), name.reference.tag()) {
        (None, Some(tag)) => Ok(tag),
        _ => Err(wrong("a push needs a tag and makes the digest itself")),
    }
}

/// Reads every layer once for its digest.
fn describe(
    layers: Vec<(String, Content)>,
    progress: &dyn Progress,
) -> Result<Vec<(Descriptor, Content)>, RegistryError> {
    let mut described = Vec::with_capacity(layers.len());
    for (label, content) in layers {
        let Content::Tar(files) = &content else { continue };
        let total_bytes: u64 = files.iter().map(wisp_model_store::PackagedFile::size_bytes).sum();
        progress.step(&format!("packing {label}"), Some(total_bytes));
        let measured = content.measure(&mut |bytes| progress.advance(bytes));
        let (digest, size_bytes) = measured.map_err(RegistryError::io("pack", Path::new(&label)))?;
        progress.done(&format!("{label} packed"));
        let mut layer = Descriptor::named(media::TAR, digest, size_bytes);
        let file_name = label.rsplit('/').next().unwrap_or_default().replace(' ', "-");
        layer.annotations = Some(BTreeMap::from([(TITLE.to_owned(), format!("{file_name}.tar"))]));
        described.push((layer, content));
    }
    Ok(described)
}

fn image(model: &Model, layers: &[(Descriptor, Content)], architecture: &'static str) -> (Manifest, Vec<u8>) {
    // Layers are not compressed: their digests are those of the unpacked archives.
    let diff_ids = layers.iter().map(|(layer, _)| layer.digest.clone()).collect();
    let rootfs = RootFs { r#type: "layers", diff_ids };
    let config = document::to_json(&ImageConfig { architecture, os: "linux", config: BTreeMap::new(), rootfs });
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.to_owned()),
        config: Descriptor::of(media::IMAGE_CONFIG, &config),
        layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
        annotations: annotations(model),
    };
    (manifest, config)
}

fn annotations(model: &Model) -> BTreeMap<String, String> {
    let key = |name| format!("org.opencontainers.image.{name}");
    let manifest = &model.manifest;
    BTreeMap::from([
        (key("title"), manifest.name.clone()),
        (key("version"), manifest.version.clone()),
        (key("licenses"), manifest.license.clone()),
        (key("description"), manifest.description.clone()),
    ])
}

fn pushed(kind: ArtifactKind, name: &ArtifactName, digest: Sha256Digest, size_bytes: u64, sent_bytes: u64) -> Pushed {
    Pushed { kind, reference: name.to_string(), pinned: name.at(digest), digest, size_bytes, sent_bytes }
}
