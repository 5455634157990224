//! Unpacks, fetches and derives what is missing of a model, alone in its cache folder.

use wisp_model_export::{
    ExportError, ExportRequest, export_bert, export_bert_f16, export_bert_int8, export_bert_int8_static,
};

use super::{Store, locate};
use crate::fetch::{self, Context, Wanted};
use crate::folder::{CacheFolder, Depth, FolderLock};
use crate::pin::PinError;
use crate::{Derived, Difference, Exporter, FileState, Model, ModelFile, Progress, StoreError};

/// A file that cannot be used as it is.
pub(super) struct Absent<'m> {
    file: &'m ModelFile,
    /// How the file that lies in its place differs, if there is one.
    difference: Option<Difference>,
}

impl Store {
    /// The files that are not there, or are not what the manifest says.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a file in the model's own folder: that is the user's, and never replaced.
    pub(super) fn absent<'m>(
        &self,
        model: &Model,
        folder: &mut CacheFolder,
        files: &[&'m ModelFile],
        progress: &dyn Progress,
    ) -> Result<Vec<Absent<'m>>, StoreError> {
        let mut absent = Vec::new();
        for &file in files {
            let location = locate(model, folder, file);
            let state = folder.examine(&location, file.pin(), Depth::Stamp, progress);
            match state.map_err(StoreError::io("read", &location))? {
                FileState::Verified | FileState::Unchecked => {}
                FileState::Differs(difference) if location != folder.path().join(&file.path) => {
                    let remedy = "restore the file, or correct the manifest beside it".to_owned();
                    return Err(StoreError::Corrupt { path: location, difference, remedy });
                }
                FileState::Differs(difference) => absent.push(Absent { file, difference: Some(difference) }),
                FileState::Missing | FileState::Unreadable(_) => absent.push(Absent { file, difference: None }),
            }
        }
        Ok(absent)
    }

    /// Takes the lock of the folder and brings in what is still absent then.
    pub(super) fn complete(
        &self,
        model: &Model,
        folder: &mut CacheFolder,
        needed: &[&ModelFile],
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        if !self.may_write() {
            let absent = self.absent(model, folder, needed, progress)?;
            return Err(sealed(model, folder, &absent));
        }
        if !self.may_fetch() && !folder.path().exists() {
            // A machine that may fetch nothing is left as it is, unless a file can be derived from the model's own, or is here.
            let absent = self.absent(model, folder, needed, progress)?;
            let is_here = |file: &ModelFile| file.derived.is_some() || model.builtin_file(&file.path).is_some();
            if !absent.iter().any(|absent| is_here(absent.file)) {
                return Err(offline(model, folder, &absent));
            }
        }
        let lock = folder.lock(progress)?;
        for Absent { file, .. } in self.absent(model, folder, needed, progress)? {
            if let Some(bytes) = model.builtin_file(&file.path) {
                unpack(folder, &lock, file, bytes)?;
            }
        }
        let absent = self.absent(model, folder, needed, progress)?;
        let (derived, mut fetched): (Vec<_>, Vec<_>) =
            absent.into_iter().partition(|absent| absent.file.derived.is_some());
        let ingredients: Vec<&ModelFile> = model
            .manifest
            .files
            .iter()
            .filter(|file| derived.iter().any(|absent| uses(absent.file, &file.path)))
            .filter(|file| !needed.iter().any(|needed| needed.path == file.path))
            .collect();
        fetched.extend(self.absent(model, folder, &ingredients, progress)?);
        self.fetch(model, folder, &lock, &fetched, progress)?;
        for Absent { file, .. } in derived {
            if let Some(recipe) = &file.derived {
                derive(model, folder, &lock, file, recipe, progress)?;
            }
        }
        Ok(())
    }

    fn fetch(
        &self,
        model: &Model,
        folder: &mut CacheFolder,
        lock: &FolderLock,
        absent: &[Absent<'_>],
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        if absent.is_empty() {
            return Ok(());
        }
        if !self.may_fetch() {
            return Err(offline(model, folder, absent));
        }
        for Absent { file, difference } in absent {
            if let Some(difference) = difference {
                tracing::warn!(model = model.manifest.name, file = file.path, %difference, "damaged file is fetched again");
            }
        }
        let mut wanted: Vec<_> = absent
            .iter()
            .map(|absent| Wanted {
                name: &absent.file.path,
                source_path: absent.file.source_path.as_deref().unwrap_or(&absent.file.path),
                pin: absent.file.pin(),
                destination: folder.path().join(&absent.file.path),
            })
            .collect();
        let context = Context { origins: &self.origins, base: model.folder(), workspace: lock.workspace(), progress };
        let result = fetch::fetch(&model.manifest.sources, &mut wanted, context);
        let missing: Vec<_> = wanted.iter().map(|wanted| wanted.name).collect();
        let arrived = absent.iter().filter(|absent| !missing.contains(&absent.file.path.as_str()));
        for Absent { file, .. } in arrived {
            let location = folder.path().join(&file.path);
            let metadata = std::fs::metadata(&location).map_err(StoreError::io("read", &location))?;
            folder.stamp(&location, &metadata, file.pin());
        }
        folder.save_stamps();
        result.map_err(|attempts| StoreError::Fetch {
            what: format!("{} of model `{}`", missing.join(", "), model.manifest.name),
            attempts,
            folder: folder.path().to_path_buf(),
        })
    }
}

/// Writes a file that the binary itself holds.
fn unpack(folder: &mut CacheFolder, lock: &FolderLock, file: &ModelFile, bytes: &[u8]) -> Result<(), StoreError> {
    let (incoming, destination) = (lock.workspace().join("unpacked"), folder.path().join(&file.path));
    std::fs::write(&incoming, bytes).map_err(StoreError::io("write", &incoming))?;
    let metadata = file.pin().accept(&incoming, &destination).map_err(|error| match error {
        PinError::Differs(difference) => {
            let remedy = "build wisp again: the file and its manifest were not those of one model".to_owned();
            StoreError::Corrupt { path: destination.clone(), difference, remedy }
        }
        PinError::Io(source) => StoreError::io("store", &destination)(source),
    })?;
    folder.stamp(&destination, &metadata, file.pin());
    Ok(())
}

/// Makes a file out of files that are there by now.
fn derive(
    model: &Model,
    folder: &mut CacheFolder,
    lock: &FolderLock,
    file: &ModelFile,
    recipe: &Derived,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let ingredient = |path: &str| match model.manifest.file(path) {
        Some(file) => locate(model, folder, file),
        None => folder.path().join(path),
    };
    let (weights, config) = (ingredient(&recipe.from), ingredient(&recipe.config));
    let output = lock.workspace().join("derived");
    progress.step(&format!("building {} from {}", file.path, recipe.from), None);
    let request = ExportRequest { weights: &weights, config: &config, output: &output };
    export(model, recipe, &request).map_err(|source| StoreError::Export {
        model: model.manifest.name.clone(),
        path: file.path.clone(),
        source: Box::new(source),
    })?;
    let destination = folder.path().join(&file.path);
    let metadata = file.pin().accept(&output, &destination).map_err(|error| match error {
        PinError::Differs(difference) => {
            StoreError::Derived { model: model.manifest.name.clone(), path: file.path.clone(), difference }
        }
        PinError::Io(source) => StoreError::io("store", &destination)(source),
    })?;
    folder.stamp(&destination, &metadata, file.pin());
    progress.done(&format!("{} built from {}", file.path, recipe.from));
    Ok(())
}

fn export(model: &Model, recipe: &Derived, request: &ExportRequest<'_>) -> Result<(), ExportError> {
    match recipe.exporter {
        Exporter::BertOnnx => export_bert(request),
        Exporter::BertOnnxF16 => export_bert_f16(request),
        Exporter::BertOnnxInt8 => export_bert_int8(request),
        Exporter::BertOnnxInt8Static => export_bert_int8_static(request, &model.ranges(recipe)?),
    }
    .map(|_| ())
}

fn uses(file: &ModelFile, path: &str) -> bool {
    file.derived.as_ref().is_some_and(|recipe| recipe.from == path || recipe.config == path)
}

/// As [`offline`], where nothing can be fetched, derived or mended on the spot.
fn sealed(model: &Model, folder: &CacheFolder, absent: &[Absent<'_>]) -> StoreError {
    let place = model.folder().unwrap_or(folder.path());
    let missing: Vec<_> = absent.iter().map(|absent| absent.file.path.clone()).collect();
    let remedy =
        format!("put the whole model into {}, or make the files for the node with `wisp node warm`", place.display());
    match absent.iter().find_map(|absent| Some((absent.file, absent.difference?))) {
        Some((file, difference)) => StoreError::Corrupt { path: locate(model, folder, file), difference, remedy },
        None => StoreError::Offline { what: format!("model `{}`", model.manifest.name), missing, remedy },
    }
}

/// The first damaged file, for it needs another remedy; else all that are missing.
fn offline(model: &Model, folder: &CacheFolder, absent: &[Absent<'_>]) -> StoreError {
    let pull = format!("run `wisp models pull {}", model.source());
    let damaged = absent.iter().find_map(|absent| Some((absent.file, absent.difference?)));
    match damaged {
        Some((file, difference)) => StoreError::Corrupt {
            path: folder.path().join(&file.path),
            difference,
            remedy: format!("{pull} --force` where the network is"),
        },
        None => StoreError::Offline {
            what: format!("model `{}`", model.manifest.name),
            missing: absent.iter().map(|absent| absent.file.path.clone()).collect(),
            remedy: format!("{pull}` where the network is, or put the files into {}", folder.path().display()),
        },
    }
}
