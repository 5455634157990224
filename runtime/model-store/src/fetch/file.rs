//! Files that lie on this machine already.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Context, FetchError, Wanted};
use crate::FileSource;

/// Copies every wanted file out of a folder, or out of the one file that the source names.
pub(super) fn fetch(source: &FileSource, wanted: &mut Vec<Wanted<'_>>, context: Context<'_>) -> Result<(), FetchError> {
    let root = root(&source.path, context.base)?;
    while let Some(file) = wanted.last() {
        let found = locate(&root, file.source_path)?;
        let incoming = context.workspace.join("copied");
        context.progress.step(&format!("copying {}", file.name), Some(file.pin.size_bytes));
        let copied = fs::copy(&found, &incoming).map_err(FetchError::io("copy", &found))?;
        context.progress.advance(copied);
        file.accept(&incoming)?;
        context.progress.done(&format!("{} copied", file.name));
        wanted.pop();
    }
    Ok(())
}

fn root(path: &str, base: Option<&Path>) -> Result<PathBuf, FetchError> {
    match (Path::new(path).is_absolute(), base) {
        (true, _) => Ok(PathBuf::from(path)),
        (false, Some(base)) => Ok(base.join(path)),
        (false, None) => Err(FetchError::Relative(path.to_owned())),
    }
}

fn locate(root: &Path, source_path: &str) -> Result<PathBuf, FetchError> {
    let below = root.join(source_path);
    if below.is_file() {
        return Ok(below);
    }
    let is_the_file = root.is_file() && root.file_name() == Path::new(source_path).file_name();
    if is_the_file { Ok(root.to_path_buf()) } else { Err(FetchError::NoFile(below)) }
}
