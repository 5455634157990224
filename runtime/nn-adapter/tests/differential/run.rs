//! One run of a guest, the same on every host.

use std::path::Path;

/// The most that a guest writes.
pub(crate) const OUTPUT_LIMIT_BYTES: usize = 1 << 20;

/// A guest and what it is called with.
pub(crate) struct Run<'a> {
    /// The guest's name.
    pub(crate) name: &'a str,
    /// The component or module.
    pub(crate) wasm: &'a [u8],
    /// Its arguments, without its name.
    pub(crate) arguments: &'a [String],
    /// What it sees as [`Run::FOLDER`].
    pub(crate) folder: &'a Path,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit code, or what ended it.
    pub(crate) code: Result<i32, String>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run<'_> {
    /// What guests call their folder.
    pub(crate) const FOLDER: &'static str = "data";

    /// The arguments, the guest's name first.
    pub(crate) fn args(&self) -> Vec<String> {
        std::iter::once(self.name.to_owned()).chain(self.arguments.iter().cloned()).collect()
    }
}

impl Output {
    /// The lines of a run that succeeded.
    pub(crate) fn lines(&self) -> Vec<&str> {
        assert_eq!(self.code, Ok(0), "{}", self.stderr);
        self.stdout.lines().collect()
    }

    /// The numbers of a run that succeeded, one a line.
    pub(crate) fn numbers(&self) -> Vec<f32> {
        self.lines().iter().map(|line| number(line)).collect()
    }

    /// Indices and scores of a run that succeeded, a pair a line.
    pub(crate) fn ranking(&self) -> Vec<(usize, f32)> {
        let lines = self.lines().into_iter().map(|line| line.split_once(' ').expect("an index and a score"));
        lines.map(|(index, score)| (index.parse().expect("an index"), number(score))).collect()
    }
}

fn number(text: &str) -> f32 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}
