//! Where an artifact comes to lie: in the cache under its digest, or where the user says; whole or not at all.
//!
//! Under the digest lie `module.wasm` or `model/`, `partial/` with what has arrived of layers, and a lock that one process holds
//! while it pulls.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wisp_model_store::{Progress, Sha256Digest, Store};

use crate::{ArtifactKind, RegistryError};

const LOCK_FILE: &str = ".lock";

/// Beside a module in the cache lies its digest: the one that it is pulled by is that of its manifest.
const DIGEST_EXTENSION: &str = "sha256";

/// The right to put an artifact into its place, until dropped.
pub(super) struct Place {
    folder: PathBuf,
    module: PathBuf,
    model: PathBuf,
    /// Outside the cache: what lies there is the user's.
    is_elsewhere: bool,
    _lock: File,
}

/// The artifact of this digest, if the cache has it whole.
pub(super) fn find(store: &Store, digest: Sha256Digest) -> Option<(ArtifactKind, PathBuf)> {
    let (module, model) = (store.home().artifact_module(digest), store.home().artifact_model(digest));
    if module.is_file() {
        // Files of models are verified when they are used; a module is small enough to be read each time.
        let expected = fs::read_to_string(module.with_extension(DIGEST_EXTENSION)).ok();
        let actual = File::open(&module).and_then(|file| Sha256Digest::of_reader(file, |_| ())).ok()?;
        if expected.as_deref() == Some(&actual.to_string()) {
            return Some((ArtifactKind::Module, module));
        }
        tracing::warn!(file = %module.display(), "damaged module is pulled again");
        return None;
    }
    model.join("model.toml").is_file().then_some((ArtifactKind::Model, model))
}

impl Place {
    /// Waits until no other process pulls the artifact of this digest.
    pub(super) fn lock(
        store: &Store,
        digest: Sha256Digest,
        output: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self, RegistryError> {
        let folder = store.home().artifact(digest);
        fs::create_dir_all(&folder).map_err(RegistryError::io("create", &folder))?;
        let path = folder.join(LOCK_FILE);
        let options = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = options.map_err(RegistryError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.step("waiting for another process that pulls the same", None);
                lock.lock().map_err(RegistryError::io("lock", &path))?;
                progress.done("the other process has finished");
            }
            Err(TryLockError::Error(source)) => return Err(RegistryError::io("lock", &path)(source)),
        }
        let output =
            output.map(|path| std::path::absolute(path).map_err(RegistryError::io("resolve", path))).transpose()?;
        Ok(Self {
            folder,
            is_elsewhere: output.is_some(),
            module: output.clone().unwrap_or_else(|| store.home().artifact_module(digest)),
            model: output.unwrap_or_else(|| store.home().artifact_model(digest)),
            _lock: lock,
        })
    }

    /// Where layers arrive.
    pub(super) fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// An empty folder beside the model's place, deleted unless it becomes the model.
    pub(super) fn workspace(&self) -> Result<TempDir, RegistryError> {
        let parent = self.model.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(RegistryError::io("create", parent))?;
        let workspace = tempfile::Builder::new().prefix(".incoming-").tempdir_in(parent);
        workspace.map_err(RegistryError::io("create a folder in", parent))
    }

    /// Puts a verified blob into the place of the module.
    pub(super) fn put_module(&self, blob: &Path, digest: Sha256Digest) -> Result<PathBuf, RegistryError> {
        let failed = |error| RegistryError::io("write", &self.module)(error);
        if !self.is_elsewhere {
            fs::write(self.module.with_extension(DIGEST_EXTENSION), digest.to_string()).map_err(failed)?;
        }
        let parent = self.module.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(RegistryError::io("create", parent))?;
        // Copied, for the place may be on another disk; and renamed, so that it appears whole.
        let mut incoming = tempfile::Builder::new()
            .prefix(".incoming-")
            .permissions(readable(0o644))
            .tempfile_in(parent)
            .map_err(failed)?;
        std::io::copy(&mut File::open(blob).map_err(failed)?, incoming.as_file_mut()).map_err(failed)?;
        incoming.as_file().sync_all().map_err(failed)?;
        let persisted = match self.is_elsewhere {
            true => incoming.persist_noclobber(&self.module),
            // What lies there was found to be damaged.
            false => incoming.persist(&self.module),
        };
        persisted.map_err(|error| failed(error.error))?;
        Ok(self.module.clone())
    }

    /// Makes a verified folder the model.
    pub(super) fn put_model(&self, folder: TempDir) -> Result<PathBuf, RegistryError> {
        let failed = |error| RegistryError::io("write", &self.model)(error);
        fs::set_permissions(folder.path(), readable(0o755)).map_err(failed)?;
        fs::rename(folder.path(), &self.model).map_err(failed)?;
        // It is under another name now, and stays.
        let _ = folder.keep();
        Ok(self.model.clone())
    }

    /// Deletes the layers: what was made of them is in its place.
    pub(super) fn tidy(&self) {
        if let Err(error) = fs::remove_dir_all(self.partial()) {
            tracing::debug!(folder = %self.partial().display(), %error, "layers not deleted");
        }
    }
}

/// The cache is often filled by one user and read by another.
fn readable(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}
