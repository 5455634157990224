//! Loading a model: the first placement that works and proves itself.

use std::sync::Arc;

use wisp_backends::Libraries;
use wisp_core::{Backend, FusedOutput, LoadRequest, Placement, Precision, Session};
use wisp_host::{EmbeddingFacts, GrantedModel, ModelTokenizer, TokenizerOptions};
use wisp_model_store::{LocalModel, Manifest, Model, ModelFile, Progress, Store};
use wisp_scheduler::{QueueLimits, spawn};

use crate::StartError;
use crate::config::{ModelConfig, PrecisionChoice};
use crate::proof::{Proof, ProofScope, prove};

/// A session that is loaded and proven, before it is given to a worker thread.
pub struct LoadedModel {
    /// The session.
    pub session: Box<dyn Session>,
    /// The model's tokenizer, if it has one.
    pub tokenizer: Option<ModelTokenizer>,
    /// What the golden vectors said; `None` for a model without any.
    pub proof: Option<Proof>,
}

/// A model in service.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Its name in the configuration.
    pub name: String,
    /// Where it runs.
    pub placement: Placement,
    /// The arithmetic.
    pub precision: Precision,
    /// Version of the library that runs it.
    pub library_version: String,
    /// What the golden vectors said at load.
    pub proof: Option<Proof>,
}

/// What every placement of a model needs.
struct Loader<'a> {
    model: &'a Model,
    store: &'a Store,
    backends: &'a [Box<dyn Backend>],
    progress: &'a dyn Progress,
}

/// Loads a model onto one placement and checks it against its golden vectors.
///
/// # Errors
/// What is wrong with this placement, in one line.
pub fn load(
    model: &Model,
    placement: Placement,
    precision: Precision,
    scope: ProofScope,
    store: &Store,
    progress: &dyn Progress,
) -> Result<LoadedModel, String> {
    let backends = wisp_backends::all(&crate::libraries::find(store));
    Loader { model, store, backends: &backends, progress }.load(placement, precision, scope)
}

/// Loads a configured model for service: the first placement of its list that works.
///
/// # Errors
/// [`StartError::Store`] when the manifest cannot be had, [`StartError::NoPlacement`] with one reason a placement.
pub(crate) fn start(
    name: &str,
    config: &ModelConfig,
    store: &Store,
    libraries: &Libraries,
    progress: &dyn Progress,
) -> Result<(Arc<GrantedModel>, ModelInfo), StartError> {
    let model = store
        .open(&config.source)
        .map_err(|error| StartError::Store { model: name.to_owned(), source: Box::new(error) })?;
    let backends = wisp_backends::all(libraries);
    let loader = Loader { model: &model, store, backends: &backends, progress };
    let precision = match config.precision {
        // f32 is the reference; another precision becomes a candidate where a backend offers it and a proof admits it.
        PrecisionChoice::Auto => Precision::F32,
        PrecisionChoice::Exactly(precision) => precision,
    };

    let mut reasons = Vec::new();
    for &placement in &config.placement {
        match loader.load(placement, precision, ProofScope::Quick) {
            Ok(loaded) => {
                for reason in &reasons {
                    tracing::warn!(model = name, %placement, "placement skipped: {reason}");
                }
                return serve(name, &model.manifest, loaded);
            }
            Err(reason) => reasons.push(format!("{placement}: {reason}")),
        }
    }
    Err(StartError::NoPlacement { model: name.to_owned(), reasons })
}

/// Gives the session to a worker thread.
fn serve(name: &str, manifest: &Manifest, loaded: LoadedModel) -> Result<(Arc<GrantedModel>, ModelInfo), StartError> {
    let info = loaded.session.info();
    let report = ModelInfo {
        name: name.to_owned(),
        placement: info.placement,
        precision: info.precision,
        library_version: info.library_version.clone(),
        proof: loaded.proof,
    };
    let queue = spawn(name, loaded.session, QueueLimits::default())
        .map_err(|source| StartError::Thread { model: name.to_owned(), source })?;
    let granted = GrantedModel {
        name: name.to_owned(),
        queue,
        tokenizer: loaded.tokenizer,
        embedding: manifest.embedding.as_ref().map(|embedding| EmbeddingFacts {
            dimensions: u32::try_from(embedding.dimensions).unwrap_or(u32::MAX),
            pooling: embedding.pooling,
        }),
        labels: manifest.labels.clone(),
        max_batch_tokens: manifest.batching.max_batch_tokens,
    };
    Ok((Arc::new(granted), report))
}

impl Loader<'_> {
    fn load(&self, placement: Placement, precision: Precision, scope: ProofScope) -> Result<LoadedModel, String> {
        let backend = self.backend(placement)?;
        let file = self.file(backend, precision)?;
        // The library first: a missing one is no reason to download a model for it.
        let missing = backend.probe().devices.into_iter().find(|report| report.device == placement.device);
        if let Some(reason) = missing.and_then(|report| report.missing) {
            return Err(reason);
        }
        let files = self.store.ensure(self.model, file, self.progress).map_err(|error| error.to_string())?;
        let mut session = self.open(backend, &files, placement, precision)?;
        let tokenizer = tokenizer(&self.model.manifest, &files)?;
        let proof = self.prove(session.as_mut(), tokenizer.as_ref(), scope)?;
        Ok(LoadedModel { session, tokenizer, proof })
    }

    fn backend(&self, placement: Placement) -> Result<&dyn Backend, String> {
        let found = self.backends.iter().find(|backend| backend.id() == placement.backend);
        found
            .map(Box::as_ref)
            .ok_or_else(|| format!("backend `{}` is not compiled into this binary", placement.backend))
    }

    /// The file with the weights for `precision`, in the best format that the backend reads and the manifest offers for it.
    fn file(&self, backend: &dyn Backend, precision: Precision) -> Result<&ModelFile, String> {
        self.model.manifest.file_of(backend.id(), backend.formats(), precision).ok_or_else(|| {
            let formats: Vec<_> = backend.formats().iter().map(|format| format.name()).collect();
            format!(
                "the manifest has no file for backend `{}` and precision {precision} in format {}",
                backend.id(),
                formats.join(" or ")
            )
        })
    }

    fn open(
        &self,
        backend: &dyn Backend,
        files: &LocalModel,
        placement: Placement,
        precision: Precision,
    ) -> Result<Box<dyn Session>, String> {
        let manifest = &self.model.manifest;
        let request = LoadRequest {
            model: &manifest.name,
            file: &files.file,
            format: files.format,
            architecture: files.architecture.as_deref(),
            signature: &manifest.signature,
            fused_outputs: &fused_outputs(manifest),
            device: placement.device,
            precision,
            threads: threads(),
            ragged: manifest.ragged.as_ref(),
            static_shapes: &[],
            compiled: None,
            memory_limit_bytes: None,
        };
        backend.load(&request).map_err(|error| error.to_string())
    }

    fn prove(
        &self,
        session: &mut dyn Session,
        tokenizer: Option<&ModelTokenizer>,
        scope: ProofScope,
    ) -> Result<Option<Proof>, String> {
        let golden = self.model.golden().map_err(|error| error.to_string())?;
        match (golden, tokenizer, &self.model.manifest.embedding) {
            (Some(golden), Some(tokenizer), Some(embedding)) => {
                prove(session, tokenizer, embedding, &golden, scope).map(Some).map_err(|error| error.to_string())
            }
            _ => Ok(None),
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

fn tokenizer(manifest: &Manifest, files: &LocalModel) -> Result<Option<ModelTokenizer>, String> {
    let (Some(spec), Some(file)) = (&manifest.tokenizer, &files.tokenizer) else {
        return Ok(None);
    };
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
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
