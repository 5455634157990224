//! What to classify: texts, or image files that are read when their turn comes.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use wisp_engine::ClassifyInput;

use crate::texts;

/// A text, or the name of an image file.
pub(crate) enum Input {
    Text(String),
    Image(PathBuf),
}

/// The inputs that the arguments name, at least one.
pub(super) fn collect(texts: Vec<String>, files: &[PathBuf], images: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    match images {
        [] => Ok(texts::collect(texts, files)?.into_iter().map(Input::Text).collect()),
        images => Ok(images.iter().cloned().map(Input::Image).collect()),
    }
}

impl Input {
    /// The input itself. An image file is read as far as the engine takes it, and a byte more, which is refused by its limit.
    pub(crate) fn read(&self, limit_bytes: usize) -> anyhow::Result<ClassifyInput> {
        match self {
            Self::Text(text) => Ok(ClassifyInput::Text(text.clone())),
            Self::Image(path) => read_image(path, limit_bytes).map(ClassifyInput::Image),
        }
    }

    /// What it is called in results.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Image(path) => path.display().to_string(),
        }
    }
}

fn read_image(path: &Path, limit_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let metadata = std::fs::metadata(path).with_context(name)?;
    ensure!(metadata.is_file(), "{}: this is no regular file; give a JPEG or PNG file", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(name)?;
    file.take(limit_bytes as u64 + 1).read_to_end(&mut bytes).with_context(name)?;
    Ok(bytes)
}
