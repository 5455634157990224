//! Fetches the files of a model anew, and keeps the old ones until the new ones are there.

use std::fs;
use std::path::Path;

use super::Store;
use crate::folder::{CacheFolder, Depth};
use crate::{FileState, Model, Progress, StoreError};

/// Start of the name of the folder that new files are brought into, beside the one that they go to.
const FRESH_PREFIX: &str = ".fresh-";

impl Store {
    /// Fetches and derives every file of the model once more, then puts each in the place of the old one. Files in the model's
    /// own folder stay. After a failure the old files are there as before.
    ///
    /// # Errors
    /// [`StoreError::RenewOffline`] when nothing may be fetched; [`StoreError::Fetch`], [`StoreError::Export`],
    /// [`StoreError::Io`].
    pub fn renew(&self, model: &Model, progress: &dyn Progress) -> Result<(), StoreError> {
        if !self.may_fetch() {
            return Err(StoreError::RenewOffline { model: model.manifest.name.clone() });
        }
        let name = format!("{FRESH_PREFIX}{}", model.digest().short());
        let path = self.home.models().join(&model.manifest.name).join(name);
        let mut fresh = CacheFolder::at(path.clone());
        let renewed = self.fill(model, &mut fresh, progress).and_then(|()| self.replace(model, &mut fresh, progress));
        let removed = match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("delete", &path)(error)),
            _ => Ok(()),
        };
        renewed.and(removed)
    }

    fn fill(&self, model: &Model, fresh: &mut CacheFolder, progress: &dyn Progress) -> Result<(), StoreError> {
        for target in model.manifest.model_files() {
            self.complete(model, fresh, &super::needed(&model.manifest, target), progress)?;
        }
        Ok(())
    }

    fn replace(&self, model: &Model, fresh: &mut CacheFolder, progress: &dyn Progress) -> Result<(), StoreError> {
        let mut folder = self.folder(model);
        let _lock = folder.lock(progress)?;
        for file in &model.manifest.files {
            let from = fresh.path().join(&file.path);
            let found = fresh.examine(&from, file.pin(), Depth::Stamp, progress);
            if found.map_err(StoreError::io("read", &from))? != FileState::Verified {
                continue;
            }
            let to = folder.path().join(&file.path);
            fs::create_dir_all(to.parent().unwrap_or(Path::new(""))).map_err(StoreError::io("create", &to))?;
            fs::rename(&from, &to).map_err(StoreError::io("replace", &to))?;
            let metadata = fs::metadata(&to).map_err(StoreError::io("read", &to))?;
            folder.stamp(&to, &metadata, file.pin());
        }
        folder.save_stamps();
        Ok(())
    }
}
