//! Bringing in a model of the user's own: its signature is read, golden answers are made by an f32 run, a manifest is written.
//!
//! What comes out is a model like the built-in ones: a folder with `model.toml`, opened by name from then on, with digests
//! that are verified and golden vectors that every other precision, device and batch is proven against.

mod describe;
mod golden;

use std::path::{Path, PathBuf};

use wisp_core::{ModelFormat, Placement, Pooling};
use wisp_model_store::{Batching, FileSource, Manifest, Model, ModelFile, Progress, Sha256Digest, Source, Store, Task};

use crate::model::{Loader, open_reference};

/// What to import, and what the file itself does not say.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The model file: `.onnx`, `.xml` (OpenVINO IR, with its `.bin` beside it), `.tflite`, or `.safetensors`.
    pub file: PathBuf,
    /// The name that it is opened by: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// SPDX identifier of the licence.
    pub license: String,
    /// `config.json` of the architecture; for safetensors. `None` looks beside the file.
    pub config: Option<PathBuf>,
    /// `tokenizer.json`. `None` looks beside the file; a model without one takes tensors.
    pub tokenizer: Option<PathBuf>,
    /// Names of the classes, one a line.
    pub labels: Option<PathBuf>,
    /// The longest input in tokens, special tokens included.
    pub max_tokens: usize,
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Whether vectors are scaled to length 1.
    pub normalized: bool,
    /// Texts to make golden vectors of; empty for a list of our own.
    pub texts: Vec<String>,
}

/// Why a model was not imported. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has no ending that says its format.
    #[error("{}: the ending says no format; name it .onnx, .xml, .tflite or .safetensors", .0.display())]
    Format(PathBuf),
    /// A name that is none, or that of a built-in model.
    #[error(
        "`{0}` cannot be the name of an imported model; use 1 to 64 of a-z, 0-9, `-`, `_` and `.` that start with a letter or \
         digit and are no built-in model's"
    )]
    Name(String),
    /// A name that is taken.
    #[error("model `{name}` exists; choose another name, or delete {}", .folder.display())]
    Exists {
        /// The name.
        name: String,
        /// Where the model lies that has it.
        folder: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No backend reads the model.
    #[error("no backend runs this model in f32:{}", list(.0))]
    NoBackend(Vec<String>),
    /// The model is not of a kind that can be imported.
    #[error("{0}")]
    Unfit(String),
    /// The manifest that came out cannot be used.
    #[error(transparent)]
    Store(Box<wisp_model_store::StoreError>),
    /// The f32 run failed.
    #[error("the f32 run that golden answers are made of failed: {0}")]
    Reference(String),
}

impl From<wisp_model_store::StoreError> for ImportError {
    fn from(error: wisp_model_store::StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

fn list(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("\n  - {reason}")).collect()
}

/// A model that was imported.
#[derive(Debug)]
pub struct Imported {
    /// The model, open.
    pub model: Model,
    /// Its folder.
    pub folder: PathBuf,
    /// What the golden answers were computed on.
    pub reference: Placement,
    /// How many of them there are.
    pub golden_cases: usize,
}

/// Imports a model.
///
/// # Errors
/// [`ImportError`], naming the file or tensor and the remedy.
pub fn import(request: &ImportRequest, store: &Store, progress: &dyn Progress) -> Result<Imported, ImportError> {
    // Before it becomes part of a path.
    if !Manifest::is_name(&request.name) || Manifest::builtin_names().contains(&request.name.as_str()) {
        return Err(ImportError::Name(request.name.clone()));
    }
    let folder = store.home().imported().join(&request.name);
    if folder.exists() {
        return Err(ImportError::Exists { name: request.name.clone(), folder });
    }
    // Complete or not at all: what fails on the way is deleted with the folder that nobody knows yet.
    let incoming = Incoming::create(store.home().imported().join(format!(".{}.{}", request.name, std::process::id())))?;
    let files = copy_files(request, &incoming.0)?;
    let signature = describe::signature(&files, store, progress)?;
    let mut manifest = describe::manifest(request, &files, signature)?;
    write_manifest(&manifest, &incoming.0)?;

    let model = store.open(&incoming.0.display().to_string())?;
    let loader = Loader::new(&model, store, progress);
    let (mut session, subject) = open_reference(&loader).map_err(ImportError::NoBackend)?;
    let reference = session.info().placement;
    progress.step(&format!("computing golden answers on {reference}"), None);
    let (golden, golden_cases) = golden::make(request, &model, session.as_mut(), &subject, &incoming.0)?;
    progress.done(&format!("{golden_cases} golden answers computed on {reference}"));
    manifest.golden = Some(golden);
    write_manifest(&manifest, &incoming.0)?;
    drop(session);

    std::fs::rename(&incoming.0, &folder).map_err(|source| ImportError::Io { path: folder.clone(), source })?;
    let model = store.open(&request.name)?;
    Ok(Imported { model, folder, reference, golden_cases })
}

/// A folder that is deleted unless it was moved away.
struct Incoming(PathBuf);

impl Incoming {
    fn create(path: PathBuf) -> Result<Self, ImportError> {
        std::fs::create_dir_all(&path).map_err(|source| ImportError::Io { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Moved away in the good case; otherwise the best that can be done is to try.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The files of the model in its new folder.
pub(crate) struct Files {
    pub(crate) format: ModelFormat,
    pub(crate) model: PathBuf,
    pub(crate) listed: Vec<ModelFile>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) has_tokenizer: bool,
}

fn copy_files(request: &ImportRequest, folder: &Path) -> Result<Files, ImportError> {
    let format = format_of(&request.file)?;
    let beside = |name: &str| Some(request.file.with_file_name(name)).filter(|path| path.is_file());
    let mut listed = Vec::new();
    let mut copy = |from: &Path, name: &str| -> Result<PathBuf, ImportError> {
        let to = folder.join(name);
        let io = |source| ImportError::Io { path: from.to_owned(), source };
        std::fs::copy(from, &to).map_err(io)?;
        let file = std::fs::File::open(&to).map_err(io)?;
        let size_bytes = file.metadata().map_err(io)?.len();
        let sha256 = Sha256Digest::of_reader(&file, |_| ()).map_err(io)?;
        listed.push(ModelFile::companion(name, size_bytes, sha256));
        Ok(to)
    };
    let ending = request.file.extension().map_or_else(String::new, |ending| ending.to_string_lossy().into_owned());
    let model = copy(&request.file, &format!("model.{ending}"))?;
    if format == ModelFormat::OpenVino {
        copy(&request.file.with_extension("bin"), "model.bin")?;
    }
    let config = match (format, request.config.clone().or_else(|| beside("config.json"))) {
        (ModelFormat::Safetensors, Some(config)) => Some(copy(&config, "config.json")?),
        (ModelFormat::Safetensors, None) => {
            return Err(ImportError::Unfit(
                "safetensors hold weights alone; name the model's config.json with --config".to_owned(),
            ));
        }
        _ => None,
    };
    let tokenizer = request.tokenizer.clone().or_else(|| beside("tokenizer.json"));
    if let Some(tokenizer) = &tokenizer {
        copy(tokenizer, "tokenizer.json")?;
    }
    if let Some(labels) = &request.labels {
        copy(labels, "labels.txt")?;
    }
    Ok(Files { format, model, listed, config, has_tokenizer: tokenizer.is_some() })
}

fn format_of(file: &Path) -> Result<ModelFormat, ImportError> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("onnx") => Ok(ModelFormat::Onnx),
        Some("xml") => Ok(ModelFormat::OpenVino),
        Some("tflite") => Ok(ModelFormat::TfLite),
        Some("safetensors") => Ok(ModelFormat::Safetensors),
        _ => Err(ImportError::Format(file.to_owned())),
    }
}

fn write_manifest(manifest: &Manifest, folder: &Path) -> Result<(), ImportError> {
    let path = folder.join("model.toml");
    let text = manifest.to_toml().map_err(|error| ImportError::Unfit(error.to_string()))?;
    std::fs::write(&path, text).map_err(|source| ImportError::Io { path, source })
}

/// What no manifest can be without, before anything else is known.
pub(crate) fn bare_manifest(request: &ImportRequest, files: Vec<ModelFile>) -> Manifest {
    Manifest {
        name: request.name.clone(),
        version: "1.0.0".to_owned(),
        license: request.license.clone(),
        task: Task::Tensors,
        description: format!("Imported from {}.", request.file.file_name().unwrap_or_default().to_string_lossy()),
        sources: vec![Source::File(FileSource { path: ".".to_owned() })],
        files,
        signature: wisp_core::Signature::default(),
        ragged: None,
        tokenizer: None,
        embedding: None,
        labels: Vec::new(),
        labels_file: None,
        batching: Batching { batch_axis: 0, max_batch_rows: 64, max_batch_tokens: 4096 },
        golden: None,
        prompts: std::collections::BTreeMap::new(),
        default_prompt: None,
    }
}
