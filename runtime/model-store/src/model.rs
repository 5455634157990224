//! A model that was opened: its manifest, and the folder or binary that it came out of.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use wisp_core::{Axis, ModelFormat, Precision};
use wisp_model_export::ExportError;
use wisp_model_export::calibration::Ranges;

use crate::builtin::Builtin;
use crate::golden::GOLDEN_LIMIT_BYTES;
use crate::manifest::MANIFEST_LIMIT_BYTES;
use crate::{
    Derived, GoldenAnswers, GoldenTensors, GoldenVectors, Home, Manifest, ManifestError, PinnedArtifact, Sha256Digest,
    StoreError, Task, imported,
};

pub(crate) const MANIFEST_FILE: &str = "model.toml";

/// The longest file of labels that is read: about a million names.
const LABELS_LIMIT_BYTES: u64 = 16 << 20;

/// A model by its manifest; its files may or may not be there.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the model is.
    pub manifest: Manifest,
    source: String,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Builtin(&'static Builtin),
    /// The folder of the manifest, absolute.
    Folder(PathBuf),
}

/// One model file of a model, verified, and the files that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// The model file.
    pub file: PathBuf,
    /// Its format.
    pub format: ModelFormat,
    /// The precision that its weights are quantised for; `None` for the full weights.
    pub precision: Option<Precision>,
    /// The weights, for formats whose graph is a file of its own.
    pub weights: Option<PathBuf>,
    /// `tokenizer.json`, if the model has one.
    pub tokenizer: Option<PathBuf>,
    /// `config.json`, for formats that carry weights alone.
    pub architecture: Option<PathBuf>,
    /// The names of the classes, one a line, if they lie in a file.
    pub labels: Option<PathBuf>,
}

/// What belongs to every model file of a model, verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companions {
    /// `tokenizer.json`, if the model has one.
    pub tokenizer: Option<PathBuf>,
    /// The names of the classes, one a line, if they lie in a file.
    pub labels: Option<PathBuf>,
}

impl Model {
    /// A built-in model by name, a model that was pulled by its digest, an imported model by name, or the model whose manifest
    /// lies in a folder. A name wins over a folder of that name; `./name` is the folder.
    pub(crate) fn open(source: &str, home: &Home) -> Result<Self, StoreError> {
        if let Some(builtin) = Builtin::find(source) {
            let origin = PathBuf::from(format!("builtin:{source}/{MANIFEST_FILE}"));
            let manifest = Manifest::parse(builtin.manifest, &origin)?;
            return Ok(Self { manifest, source: source.to_owned(), origin: Origin::Builtin(builtin) });
        }
        let pulled = match PinnedArtifact::parse(source) {
            Some(artifact) => Some(pulled_folder(&artifact?, home)?),
            None => None,
        };
        let imported = pulled.or_else(|| imported::find(home, source));
        let path = imported.as_deref().unwrap_or(Path::new(source));
        if path.is_absolute() && imported.is_none() {
            // Nobody means a name by that, so that what the system says of the folder helps more than a list of names.
            let folder = std::fs::read_dir(path).map(drop);
            folder.map_err(|source| StoreError::ModelFolder { path: path.to_owned(), source })?;
        }
        if source.is_empty() || !path.is_dir() {
            let imported = imported::names(home).unwrap_or_default().join(", ");
            return Err(StoreError::UnknownModel {
                source_name: source.to_owned(),
                builtins: Manifest::builtin_names().join(", "),
                imported: if imported.is_empty() { "none".to_owned() } else { imported },
            });
        }
        let file = path.join(MANIFEST_FILE);
        let text = read_text(&file)?;
        let manifest = Manifest::parse(&text, &file)?;
        // Stamps know files by absolute path; a relative one would name other files in another directory.
        let folder = std::path::absolute(path).map_err(StoreError::io("resolve", path))?;
        Ok(Self { manifest, source: source.to_owned(), origin: Origin::Folder(folder) })
    }

    /// What [`Store::open`](crate::Store::open) was asked for: the argument that `wisp models pull` takes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The folder of the manifest; `None` for a built-in model.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Builtin(_) => None,
            Origin::Folder(folder) => Some(folder),
        }
    }

    /// The identity of the model: a digest over paths and digests of all files. Models of equal files have equal digests,
    /// wherever their manifests lie.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        let mut lines: Vec<String> =
            self.manifest.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.path)).collect();
        lines.sort_unstable();
        Sha256Digest::of(lines.concat().as_bytes())
    }

    /// The names of the classes: those of the manifest, or the lines of `file`, where [`Companions`] says that they lie.
    /// Empty for a model without labels.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::TooLarge`] when the file cannot be read; [`StoreError::Labels`] when it is no
    /// text, or has another number of lines than the only output has scores.
    pub fn labels(&self, file: Option<&Path>) -> Result<Vec<String>, StoreError> {
        let Some(file) = file else { return Ok(self.manifest.labels.clone()) };
        let error = |reason| StoreError::Labels { model: self.manifest.name.clone(), reason };
        let text = String::from_utf8(read_bounded(file, LABELS_LIMIT_BYTES)?)
            .map_err(|_| error(format!("{} is not valid UTF-8", file.display())))?;
        let labels: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
        let scores = match &self.manifest.signature.outputs[..] {
            [only] if self.manifest.task == Task::Classification => only.shape.last().copied(),
            _ => None,
        };
        match scores {
            Some(Axis::Fixed(scores)) if scores != labels.len() => {
                let lines = labels.len();
                Err(error(format!("{} has {lines} lines for {scores} scores; write one a line", file.display())))
            }
            _ => Ok(labels),
        }
    }

    /// The golden vectors, if the manifest names texts and vectors.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::TooLarge`] when a file cannot be read, [`StoreError::Golden`] when the files do
    /// not go together.
    pub fn golden(&self) -> Result<Option<GoldenVectors>, StoreError> {
        let (Some(spec), Some(embedding)) = (&self.manifest.golden, &self.manifest.embedding) else {
            return Ok(None);
        };
        let (GoldenAnswers::Texts { texts, vectors }, Some(batching)) = (&spec.answers, spec.batching) else {
            return Ok(None);
        };
        let contents = (self.small_file(texts)?, self.small_file(vectors)?);
        let (texts, vectors) = ((texts.as_str(), &contents.0[..]), (vectors.as_str(), &contents.1[..]));
        GoldenVectors::parse(&spec.tolerances, batching, embedding.dimensions, texts, vectors)
            .map(Some)
            .map_err(|source| StoreError::Golden { model: self.manifest.name.clone(), source })
    }

    /// The golden tensors, if the manifest names any.
    ///
    /// # Errors
    /// As [`Model::golden`].
    pub fn golden_tensors(&self) -> Result<Option<GoldenTensors>, StoreError> {
        let Some(spec) = &self.manifest.golden else { return Ok(None) };
        let GoldenAnswers::Tensors { tensors } = &spec.answers else { return Ok(None) };
        let contents = spec.answers.files().into_iter().map(|path| Ok((path, self.small_file(path)?)));
        let contents = contents.collect::<Result<_, StoreError>>()?;
        GoldenTensors::parse(spec, tensors, &self.manifest.signature, &contents)
            .map(Some)
            .map_err(|source| StoreError::Golden { model: self.manifest.name.clone(), source })
    }

    /// The ranges of activations that a static int8 form is made with.
    pub(crate) fn ranges(&self, recipe: &Derived) -> Result<Ranges, ExportError> {
        let path = Path::new(recipe.ranges.as_deref().unwrap_or_default());
        let text = self.small_file(&path.to_string_lossy());
        let text = text.map_err(|error| ExportError::Ranges { path: path.to_owned(), reason: error.to_string() })?;
        Ranges::parse(&text, path)
    }

    /// The manifest, golden vectors and ranges, each with its path.
    pub(crate) fn small_files(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let manifest = match &self.origin {
            Origin::Builtin(builtin) => builtin.manifest.as_bytes().to_vec(),
            Origin::Folder(folder) => read_bounded(&folder.join(MANIFEST_FILE), MANIFEST_LIMIT_BYTES)?,
        };
        let golden = self.manifest.golden.iter().flat_map(|golden| golden.answers.files());
        let ranges = self.manifest.files.iter().filter_map(|file| file.derived.as_ref()?.ranges.as_deref());
        let named = golden.chain(ranges).map(|path| Ok((path.to_owned(), self.small_file(path)?)));
        let mut files = named.collect::<Result<Vec<_>, StoreError>>()?;
        files.push((MANIFEST_FILE.to_owned(), manifest));
        Ok(files)
    }

    /// A file that the binary itself holds.
    pub(crate) fn builtin_file(&self, path: &str) -> Option<&'static [u8]> {
        match &self.origin {
            Origin::Builtin(builtin) => builtin.file(path),
            Origin::Folder(_) => None,
        }
    }

    fn small_file(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        match &self.origin {
            Origin::Folder(folder) => read_bounded(&folder.join(path), GOLDEN_LIMIT_BYTES),
            Origin::Builtin(builtin) => builtin.file(path).map(<[u8]>::to_vec).ok_or_else(|| {
                let not_found = io::Error::new(io::ErrorKind::NotFound, "it is not built in");
                StoreError::io("read", Path::new(path))(not_found)
            }),
        }
    }
}

/// The folder of a model that was pulled from a registry.
fn pulled_folder(artifact: &PinnedArtifact, home: &Home) -> Result<PathBuf, StoreError> {
    let folder = home.artifact_model(artifact.digest());
    if folder.join(MANIFEST_FILE).is_file() {
        return Ok(folder);
    }
    let is_module = home.artifact_module(artifact.digest()).is_file();
    let reference = artifact.reference().to_owned();
    Err(if is_module { StoreError::NoModelArtifact { reference } } else { StoreError::NotPulled { reference } })
}

fn read_text(file: &Path) -> Result<String, StoreError> {
    let bytes = read_bounded(file, MANIFEST_LIMIT_BYTES)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid_bytes = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        // The bytes before the bad one are valid, so they are the same in the lossy text.
        ManifestError::at(file, &text, Some(valid_bytes..valid_bytes), "not valid UTF-8").into()
    })
}

/// Reads a file that is no longer than `limit_bytes`.
fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::io("read", path)(source);
    let file = File::open(path).map_err(io)?;
    let size_bytes = file.metadata().map_err(io)?.len();
    let mut bytes = Vec::new();
    // The length that the system names is checked for the message, the bytes that come for the truth.
    let read_bytes = file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)? as u64;
    if size_bytes > limit_bytes || read_bytes > limit_bytes {
        let size_bytes = size_bytes.max(read_bytes);
        return Err(StoreError::TooLarge { path: path.to_path_buf(), size_bytes, limit_bytes });
    }
    Ok(bytes)
}
