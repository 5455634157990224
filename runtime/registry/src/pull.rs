//! From an artifact in a registry to files on this machine, each byte verified.

mod place;
mod select;

use std::path::{Path, PathBuf};

use oci_client::RegistryOperation;
use wisp_model_store::{FileState, Model, Progress, Sha256Digest, Store};

use crate::connection::Connection;
use crate::document::{Descriptor, Document, Manifest};
use crate::download::download;
use crate::unpack::Unpacker;
use crate::{ArtifactKind, ArtifactName, RegistryError, RegistryOptions, module};
use place::Place;
use select::{Layers, layers, pick};

/// An artifact that is on this machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What it is.
    pub kind: ArtifactKind,
    /// The reference as given.
    pub reference: String,
    /// The same by digest, as configurations want it behind `oci:`.
    pub pinned: String,
    /// Digest of its manifest or index.
    pub digest: Sha256Digest,
    /// The file of the module, or the folder of the model.
    pub path: PathBuf,
    /// Whether the cache had it.
    pub is_cached: bool,
}

/// Pulls an artifact into the cache of `store`, or to `output`: a file for a module, a folder for a model, which must not be
/// there yet. What the cache has of a pinned reference is not asked for again.
///
/// # Errors
/// [`RegistryError`]. Nothing appears that is not whole and verified; what arrived of a layer is kept for the next time.
pub async fn pull(
    name: &ArtifactName,
    output: Option<&Path>,
    store: &Store,
    options: &RegistryOptions,
    progress: &dyn Progress,
) -> Result<Pulled, RegistryError> {
    if let Some(path) = output.filter(|path| path.exists()) {
        return Err(RegistryError::Exists(path.to_owned()));
    }
    let cached = |digest, output: Option<&Path>| match output {
        None => place::find(store, digest).map(|(kind, path)| pulled(kind, name, digest, path, true)),
        Some(_) => None,
    };
    if let Some(found) = name.pinned().and_then(|digest| cached(digest, output)) {
        return Ok(found);
    }
    if store.access() == wisp_model_store::Access::Offline {
        return Err(RegistryError::Offline { reference: name.to_string() });
    }
    let connection = Connection::open(name, options, RegistryOperation::Pull).await?;
    let (document, digest) = connection.document(&name.reference).await?;
    let place = Place::lock(store, digest, output, progress)?;
    // Another process may have pulled it while this one waited.
    if let Some(found) = cached(digest, output) {
        return Ok(found);
    }
    let manifest = resolve(&connection, document).await?;
    let (kind, path) = match layers(&manifest, &name.to_string())? {
        Layers::Module(layer) => {
            let path = bring_module(&connection, &layer, &place, options, progress).await?;
            (ArtifactKind::Module, path)
        }
        Layers::Model(layers) => {
            let path = bring_model(&connection, &layers, &place, store, options, progress).await?;
            (ArtifactKind::Model, path)
        }
    };
    place.tidy();
    Ok(pulled(kind, name, digest, path, false))
}

fn pulled(kind: ArtifactKind, name: &ArtifactName, digest: Sha256Digest, path: PathBuf, is_cached: bool) -> Pulled {
    Pulled { kind, reference: name.to_string(), pinned: name.at(digest), digest, path, is_cached }
}

/// The manifest that an index has for us.
async fn resolve(connection: &Connection, document: Document) -> Result<Manifest, RegistryError> {
    let index = match document {
        Document::Manifest(manifest) => return Ok(manifest),
        Document::Index(index) => index,
    };
    let reference = connection.name.to_string();
    let digest = pick(&index, &reference)?.sha256()?;
    match connection.document(&connection.name.sibling(digest)).await?.0 {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => {
            Err(RegistryError::Unsupported { reference, found: "its index points at another index".to_owned() })
        }
    }
}

async fn bring_module(
    connection: &Connection,
    layer: &Descriptor,
    place: &Place,
    options: &RegistryOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, RegistryError> {
    check_size(connection, layer.size, options.module_limit_bytes())?;
    let blob = download(connection, layer, &place.partial(), progress).await?;
    let bytes = std::fs::read(&blob).map_err(RegistryError::io("read", &blob))?;
    module::describe(&bytes, &connection.name.to_string())?;
    place.put_module(&blob, layer.sha256()?)
}

async fn bring_model(
    connection: &Connection,
    layers: &[Descriptor],
    place: &Place,
    store: &Store,
    options: &RegistryOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, RegistryError> {
    let limit_bytes = options.model_limit_bytes();
    let size_bytes = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    check_size(connection, size_bytes, limit_bytes)?;
    let mut blobs = Vec::with_capacity(layers.len());
    for layer in layers {
        blobs.push((download(connection, layer, &place.partial(), progress).await?, &layer.media_type));
    }
    let folder = place.workspace()?;
    let reference = connection.name.to_string();
    let mut unpacker = Unpacker::new(reference.clone(), folder.path(), limit_bytes);
    progress.step("unpacking", Some(size_bytes));
    for (blob, media_type) in blobs {
        unpacker.layer(&blob, media_type, &mut |bytes| progress.advance(bytes))?;
    }
    progress.done("unpacked");
    verify(store, folder.path(), &reference, progress)?;
    place.put_model(folder)
}

fn check_size(connection: &Connection, size_bytes: u64, limit_bytes: u64) -> Result<(), RegistryError> {
    match size_bytes > limit_bytes {
        true => Err(RegistryError::TooLarge { what: connection.name.to_string(), size_bytes, limit_bytes }),
        false => Ok(()),
    }
}

/// Reads every file of an unpacked model and compares it with the manifest beside it. What is made on the spot may be missing.
fn verify(store: &Store, folder: &Path, reference: &str, progress: &dyn Progress) -> Result<(), RegistryError> {
    if !folder.join("model.toml").is_file() {
        let found = "an image without model.toml at its root".to_owned();
        return Err(RegistryError::Unsupported { reference: reference.to_owned(), found });
    }
    let model = store.open(&folder.display().to_string())?;
    for check in store.verify(&model, progress) {
        let is_own = check.location.starts_with(folder);
        let is_derived = model.manifest.file(&check.path).is_some_and(|file| file.derived.is_some());
        let state = match check.state {
            FileState::Verified if is_own => continue,
            _ if !is_own && is_derived => continue,
            FileState::Differs(difference) if is_own => format!("another file ({difference})"),
            FileState::Unreadable(reason) if is_own => reason,
            _ => "missing".to_owned(),
        };
        return Err(RegistryError::ModelFile { reference: reference.to_owned(), path: check.path, state });
    }
    check_answers(&model)
}

/// Golden answers are no part of the digests of a manifest; that they can be read shows that they are whole.
fn check_answers(model: &Model) -> Result<(), RegistryError> {
    model.golden()?;
    model.golden_tensors()?;
    Ok(())
}
