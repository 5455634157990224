//! The model and the native libraries, through the same store that the engine uses.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wisp_model_store::{Access, FileState, Home, NativeLibrary, ONNX_RUNTIME, OPENVINO, Progress, Store};

use crate::progress::{Step, readable_bytes};

/// The model of the demo and of most tests.
pub(crate) const MODEL: &str = "all-minilm-l6-v2";

/// The model's files for every backend.
#[derive(Clone, Debug)]
pub(crate) struct ModelAssets {
    /// Folder with `vocab.txt` and `tokenizer.json`.
    pub(crate) tokenizer: PathBuf,
    /// What is there, in a few words.
    pub(crate) summary: String,
}

/// What is there of the model, without fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelState {
    /// Every file, as the manifest pins it.
    Complete,
    /// So many of so many files.
    Partial { present: usize, total: usize },
}

/// Fetches, derives and verifies the model in every format that a backend asks for.
pub(crate) fn ensure_model(home: &Home, step: &Step) -> Result<ModelAssets> {
    let store = Store::new(home.clone(), Access::Online);
    let model = store.open(MODEL)?;
    let progress = StepProgress { step };
    let mut tokenizer = None;
    for file in model.manifest.model_files() {
        tokenizer = store.ensure(&model, file, &progress)?.tokenizer;
    }
    let tokenizer = tokenizer.as_deref().and_then(Path::parent).context("the model has a tokenizer")?;
    let size_bytes: u64 = model.manifest.files.iter().map(|file| file.size_bytes).sum();
    let summary = format!("{MODEL}, safetensors and ONNX, {} verified", readable_bytes(size_bytes));
    Ok(ModelAssets { tokenizer: tokenizer.to_owned(), summary })
}

/// The native libraries that tests and demo run on.
pub(crate) const LIBRARIES: [&NativeLibrary; 2] = [&OPENVINO, &ONNX_RUNTIME];

/// Fetches and verifies the native libraries.
pub(crate) fn ensure_libraries(home: &Home, step: &Step) -> Result<String> {
    let store = Store::new(home.clone(), Access::Online);
    for library in LIBRARIES {
        store.ensure_library(library, &StepProgress { step })?;
    }
    let named = LIBRARIES.map(|library| format!("{} {}", library.name, library.version));
    Ok(format!("{} verified", named.join(", ")))
}

/// Where a native library lies, if it was fetched.
pub(crate) fn find_library(home: &Home, library: &NativeLibrary) -> Option<PathBuf> {
    Store::new(home.clone(), Access::Offline).find_library(library)
}

/// What is there of the model.
pub(crate) fn model_state(home: &Home) -> Result<ModelState> {
    let store = Store::new(home.clone(), Access::Offline);
    let files = store.installed(&store.open(MODEL)?);
    let present = files.iter().filter(|file| matches!(file.state, FileState::Verified | FileState::Unchecked)).count();
    let total = files.len();
    Ok(if present == total { ModelState::Complete } else { ModelState::Partial { present, total } })
}

/// Shows the store's steps as what one of our steps does now.
pub(crate) struct StepProgress<'a> {
    pub(crate) step: &'a Step,
}

impl Progress for StepProgress<'_> {
    fn step(&self, name: &str, total_bytes: Option<u64>) {
        self.step.expect_bytes(total_bytes);
        self.step.say(name);
    }

    fn advance(&self, bytes: u64) {
        self.step.advance_bytes(bytes);
    }

    fn done(&self, summary: &str) {
        self.step.expect_bytes(None);
        self.step.say(summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cache_holds_neither_model_nor_library() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let home = Home::at(folder.path());
        assert!(LIBRARIES.iter().all(|library| find_library(&home, library).is_none()));
        let state = model_state(&home).expect("the manifest is built in");
        assert!(matches!(state, ModelState::Partial { present: 0, total } if total >= 4), "{state:?}");
    }
}
