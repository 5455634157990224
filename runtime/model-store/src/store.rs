//! From the name of a model to its verified files on this machine.

mod complete;
mod renew;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::fetch::Origins;
use crate::folder::{CacheFolder, Depth};
use crate::pin::Pin;
use crate::{
    Companions, FileCheck, FileState, Home, LocalModel, Manifest, Model, ModelFile, NoProgress, Progress, StoreError,
    imported,
};

/// Whether the store may fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// What is missing is fetched, and what is damaged in the cache is replaced.
    Online,
    /// Nothing is fetched; errors say what is missing.
    Offline,
    /// Nothing is fetched and nothing is written: what is there was put there by others.
    Sealed,
}

/// The models and libraries of one cache directory.
#[derive(Clone, Debug)]
pub struct Store {
    home: Home,
    access: Access,
    origins: Origins,
}

impl Store {
    /// The store in `home`, with programs and servers as the environment names them. Touches nothing yet.
    #[must_use]
    pub fn new(home: Home, access: Access) -> Self {
        Self { home, access, origins: Origins::from_env() }
    }

    /// The same store with other programs and servers.
    #[must_use]
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// The cache directory.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Whether it may fetch.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether what was computed may be kept in the cache directory.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.access != Access::Sealed
    }

    pub(crate) fn may_fetch(&self) -> bool {
        self.access == Access::Online
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Opens a model: a built-in name (`all-minilm-l6-v2`), an artifact that was pulled (`oci:…@sha256:…`), the name of an
    /// imported model, or the path of a folder that holds `model.toml`, in this order. Model files that lie in that folder are used in place. Reads the manifest alone.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`], [`StoreError::NotPulled`], [`StoreError::Manifest`] with line and column, [`StoreError::Io`].
    pub fn open(&self, source: &str) -> Result<Model, StoreError> {
        Model::open(source, &self.home)
    }

    /// Names of the imported models, sorted: the folders of [`Home::imported`] that hold `model.toml`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn imported(&self) -> Result<Vec<String>, StoreError> {
        imported::names(&self.home)
    }

    /// Makes a model file, and everything that belongs to it, available and verified: what is missing is fetched or derived, what lies in the cache
    /// and differs from the manifest is replaced, what was verified before and has not changed is not read again.
    ///
    /// # Errors
    /// [`StoreError::NoModelFile`] when `file` is no model file of this model; [`StoreError::Corrupt`] for a wrong file in the model's own folder, or in the cache when
    /// offline; [`StoreError::Offline`], [`StoreError::Fetch`], [`StoreError::Export`], [`StoreError::Io`].
    pub fn ensure(&self, model: &Model, file: &ModelFile, progress: &dyn Progress) -> Result<LocalModel, StoreError> {
        let manifest = &model.manifest;
        let target = manifest.model_files().find(|known| known.path == file.path);
        let (Some(target), Some(format)) = (target, file.format) else {
            return Err(StoreError::NoModelFile {
                model: manifest.name.clone(),
                path: file.path.clone(),
                offered: manifest.model_files().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", "),
            });
        };
        let folder = self.bring(model, &needed(manifest, target), progress)?;

        let location = |path: &String| manifest.file(path).map(|file| locate(model, &folder, file));
        Ok(LocalModel {
            file: locate(model, &folder, target),
            format,
            precision: target.precision,
            weights: target.weights.as_ref().and_then(location),
            tokenizer: manifest.tokenizer.as_ref().and_then(|tokenizer| location(&tokenizer.file)),
            architecture: target.architecture.as_ref().and_then(location),
            labels: manifest.labels_file.as_ref().and_then(location),
        })
    }

    /// Makes what belongs to every model file available and verified, as [`Store::ensure`] does with a model file.
    ///
    /// # Errors
    /// As [`Store::ensure`].
    pub fn ensure_companions(&self, model: &Model, progress: &dyn Progress) -> Result<Companions, StoreError> {
        let needed: Vec<&ModelFile> = model.manifest.companions().collect();
        let folder = self.bring(model, &needed, progress)?;
        let location = |path: &String| model.manifest.file(path).map(|file| locate(model, &folder, file));
        Ok(Companions {
            tokenizer: model.manifest.tokenizer.as_ref().and_then(|tokenizer| location(&tokenizer.file)),
            labels: model.manifest.labels_file.as_ref().and_then(location),
        })
    }

    /// Makes every file available and verified, and says where each lies.
    pub(crate) fn ensure_all<'m>(
        &self,
        model: &'m Model,
        progress: &dyn Progress,
    ) -> Result<Vec<(&'m ModelFile, PathBuf)>, StoreError> {
        let needed: Vec<&ModelFile> = model.manifest.files.iter().collect();
        let folder = self.bring(model, &needed, progress)?;
        Ok(needed.into_iter().map(|file| (file, locate(model, &folder, file))).collect())
    }

    /// Fetches and derives what is absent of `needed`.
    fn bring(&self, model: &Model, needed: &[&ModelFile], progress: &dyn Progress) -> Result<CacheFolder, StoreError> {
        let mut folder = self.folder(model);
        if !self.absent(model, &mut folder, needed, progress)?.is_empty() {
            self.complete(model, &mut folder, needed, progress)?;
        }
        self.save_stamps(&mut folder);
        Ok(folder)
    }

    /// Reads every file that is there and compares it with the manifest, whatever was verified before.
    pub fn verify(&self, model: &Model, progress: &dyn Progress) -> Vec<FileCheck> {
        self.check(model, Depth::Read, progress)
    }

    /// What is there of each file, judged by length and earlier verification; reads no file.
    #[must_use]
    pub fn installed(&self, model: &Model) -> Vec<FileCheck> {
        self.check(model, Depth::Stat, &NoProgress)
    }

    /// The folder of the model in the cache: by name, and by digest so that versions live side by side.
    fn folder(&self, model: &Model) -> CacheFolder {
        CacheFolder::at(self.home.models().join(&model.manifest.name).join(model.digest().short()))
    }

    fn check(&self, model: &Model, depth: Depth, progress: &dyn Progress) -> Vec<FileCheck> {
        let mut folder = self.folder(model);
        let checks = model.manifest.files.iter().map(|file| {
            let location = locate(model, &folder, file);
            let state = folder
                .examine(&location, file.pin(), depth, progress)
                .unwrap_or_else(|error| FileState::Unreadable(error.to_string()));
            FileCheck { path: file.path.clone(), location, size_bytes: file.size_bytes, state }
        });
        let checks = checks.collect();
        // What was found wrong loses its stamp, so that the next `ensure` does not trust it.
        self.save_stamps(&mut folder);
        checks
    }

    pub(crate) fn save_stamps(&self, folder: &mut CacheFolder) {
        if self.may_write() {
            folder.save_stamps();
        }
    }
}

impl ModelFile {
    pub(crate) fn pin(&self) -> Pin {
        Pin { size_bytes: self.size_bytes, sha256: self.sha256 }
    }
}

/// A model file and everything that belongs to it.
fn needed<'m>(manifest: &'m Manifest, target: &'m ModelFile) -> Vec<&'m ModelFile> {
    let weights = manifest.files.iter().filter(|file| target.weights.as_ref() == Some(&file.path));
    manifest.companions().chain(weights).chain([target]).collect()
}

/// Where a file lies, or where it would be put: in the model's own folder if it is there, else in the cache.
fn locate(model: &Model, folder: &CacheFolder, file: &ModelFile) -> PathBuf {
    let own = model.folder().map(|own| own.join(&file.path)).filter(|path| path.exists());
    own.unwrap_or_else(|| folder.path().join(&file.path))
}
