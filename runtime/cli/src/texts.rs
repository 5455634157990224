//! Texts from the command line, from standard input, and from files: one a line.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Names standard input among the texts.
const STANDARD_INPUT: &str = "-";

/// No texts to work on: wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("no texts; give some, `-` for lines of standard input, or --file FILE")]
pub(crate) struct NoTexts;

/// The texts that the arguments name, at least one.
pub(crate) fn collect(arguments: Vec<String>, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for argument in arguments {
        if argument == STANDARD_INPUT {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
            texts.extend(lines(&bytes, "standard input")?);
        } else {
            texts.push(argument);
        }
    }
    for file in files {
        texts.extend(read_file(file)?);
    }
    if texts.is_empty() {
        return Err(NoTexts.into());
    }
    Ok(texts)
}

fn read_file(file: &Path) -> anyhow::Result<Vec<String>> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| name.clone())?;
    lines(&bytes, &name)
}

/// The lines of UTF-8 text. Blank lines are left out: editors and shells add them at will.
fn lines(bytes: &[u8], name: &str) -> anyhow::Result<Vec<String>> {
    // A byte order mark is no part of the first text.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut texts = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(text) = std::str::from_utf8(line) else {
            bail!("{name}: line {} is not valid UTF-8; convert the file, for example with iconv", index + 1);
        };
        if !text.trim().is_empty() {
            texts.push(text.to_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_endings_and_blank_ones_not_at_all() {
        let texts = lines("\u{feff}one\r\n\n  two \n \nthree".as_bytes(), "f").expect("valid");
        assert_eq!(texts, ["one", "  two ", "three"]);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        let error = lines(b"good\nb\xFFd\n", "texts.txt").expect_err("is not UTF-8");
        assert_eq!(error.to_string(), "texts.txt: line 2 is not valid UTF-8; convert the file, for example with iconv");
    }
}
