//! The texts of a run: a mix, or the lines of a file.

use std::path::Path;
use std::sync::Arc;

use crate::BenchError;
use crate::mix::Mix;

/// The name of texts from a file, where mixes have theirs.
pub const FILE: &str = "file";

/// Texts under a name.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Name of the mix, or `file`.
    pub name: String,
    /// The texts, at least one.
    pub texts: Arc<Vec<String>>,
}

impl Pool {
    /// Texts of a mix.
    #[must_use]
    pub fn of(mix: Mix, count: usize, seed: u64) -> Self {
        Self { name: mix.to_string(), texts: Arc::new(mix.texts(count.max(1), seed)) }
    }

    /// The first lines of a file that are not blank, in UTF-8.
    ///
    /// # Errors
    /// [`BenchError::Io`] when it cannot be read, [`BenchError::NoTexts`] when it holds nothing.
    pub fn read(file: &Path, limit: usize) -> Result<Self, BenchError> {
        let origin = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(BenchError::io(origin.clone()))?;
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
        let texts: Vec<String> = lines.take(limit).map(str::to_owned).collect();
        if texts.is_empty() {
            return Err(BenchError::NoTexts { origin });
        }
        Ok(Self { name: FILE.to_owned(), texts: Arc::new(texts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_are_texts_and_blank_ones_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("texts.txt");
        std::fs::write(&file, "\u{feff}one\r\n\n   \ntwo\nthree\n").expect("written");
        let pool = Pool::read(&file, 2).expect("has texts");
        assert_eq!((pool.name.as_str(), &pool.texts[..]), ("file", &["one".to_owned(), "two".to_owned()][..]));
        std::fs::write(&file, "\n \n").expect("written");
        assert!(matches!(Pool::read(&file, 2), Err(BenchError::NoTexts { .. })));
        std::fs::write(&file, b"\xff\xfe").expect("written");
        assert!(matches!(Pool::read(&file, 2), Err(BenchError::Io { .. })));
    }
}
