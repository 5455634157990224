//! Where a manifest is wrong, and why.

use std::ops::Range;
use std::path::{Path, PathBuf};

use wisp_core::{ErrorKind, Kinded};

/// A manifest that cannot be used: `models/x/model.toml:12:8: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {reason}", .origin.display())]
pub struct ManifestError {
    /// The file.
    pub origin: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there, and what would be right.
    pub reason: String,
}

/// A manifest that TOML cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest cannot be written as TOML: {0}")]
pub struct UnwritableManifest(pub(crate) String);

impl ManifestError {
    /// The error at the start of `span`, a byte range of `text`; without a span, at the start of the file.
    pub(crate) fn at(origin: &Path, text: &str, span: Option<Range<usize>>, reason: impl Into<String>) -> Self {
        let offset = text.floor_char_boundary(span.map_or(0, |span| span.start));
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            origin: origin.to_path_buf(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason: on_one_line(&reason.into()),
        }
    }
}

/// What a message repeats of the manifest may have line breaks in it, which would look like messages of their own.
fn on_one_line(reason: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    reason.chars().map(shown).collect()
}

impl Kinded for ManifestError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}
