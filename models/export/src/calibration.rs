//! Ranges of activations as calibration found them: what the static int8 form rounds by.
//!
//! A file of them is data of a model like its weights: made once by running the f32 form on texts ([`observe`]), kept beside
//! the manifest, and read by every export, which therefore runs nothing and makes the same bytes everywhere.

pub mod observe;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ExportError;

/// The range of every activation that a projection takes, and how the ranges were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// Texts that were run.
    pub texts: usize,
    /// Their tokens.
    pub tokens: usize,
    /// By the name of the activation in the graph.
    pub activations: BTreeMap<String, Range>,
}

/// What values an activation takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The smallest value of all.
    pub minimum: f32,
    /// The largest value of all.
    pub maximum: f32,
    /// The value that byte 0 stands for.
    pub low: f32,
    /// The value that byte 255 stands for.
    pub high: f32,
    /// Channels that are multiplied in f32, because they take values far outside of what the others take; ascending.
    pub outliers: Vec<usize>,
}

impl Ranges {
    /// Reads what [`Ranges::to_json`] wrote; `origin` is the file it came from, for messages.
    ///
    /// # Errors
    /// [`ExportError::Ranges`] with line and column, or with the activation whose range is none.
    pub fn parse(text: &[u8], origin: &Path) -> Result<Self, ExportError> {
        let broken = |reason: String| ExportError::Ranges { path: origin.to_path_buf(), reason };
        let ranges: Self = serde_json::from_slice(text).map_err(|error| broken(error.to_string()))?;
        match ranges.activations.iter().find(|(_, range)| !range.is_ordered()) {
            Some((name, Range { low, high, .. })) => {
                Err(broken(format!("activation `{name}` goes from {low} to {high} with outliers that must ascend")))
            }
            None => Ok(ranges),
        }
    }

    /// The ranges as JSON, one activation a line; the same bytes for equal ranges.
    ///
    /// # Errors
    /// [`ExportError::Ranges`] for a number that JSON does not hold.
    pub fn to_json(&self, path: &Path) -> Result<String, ExportError> {
        let Self { texts, tokens, activations } = self;
        let lines = activations.iter().map(|(name, range)| {
            let (name, range) = (serde_json::to_string(name)?, serde_json::to_string(range)?);
            Ok(format!("    {name}: {range}"))
        });
        let lines: serde_json::Result<Vec<_>> = lines.collect();
        let lines =
            lines.map_err(|error| ExportError::Ranges { path: path.to_path_buf(), reason: error.to_string() })?;
        let lines = lines.join(",\n");
        Ok(format!("{{\n  \"texts\": {texts},\n  \"tokens\": {tokens},\n  \"activations\": {{\n{lines}\n  }}\n}}\n"))
    }

    /// The ranges that most tools would take: from the smallest to the largest value, and no channel apart.
    #[must_use]
    pub fn naive(mut self) -> Self {
        for range in self.activations.values_mut() {
            (range.low, range.high) = (range.minimum, range.maximum);
            range.outliers.clear();
        }
        self
    }
}

impl Range {
    fn is_ordered(&self) -> bool {
        self.low <= self.high
            && (self.high - self.low).is_finite()
            && self.outliers.is_sorted_by(|earlier, later| earlier < later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Ranges {
        let range = Range { minimum: -2.5, maximum: 30.0, low: -1.25, high: 2.0, outliers: vec![1, 5] };
        Ranges { texts: 2, tokens: 9, activations: BTreeMap::from([("encoder".to_owned(), range)]) }
    }

    #[test]
    fn ranges_are_read_back_as_they_were_written() {
        let path = Path::new("ranges.json");
        let text = ranges().to_json(path).expect("finite");
        assert_eq!(Ranges::parse(text.as_bytes(), path).expect("was written"), ranges());
    }

    #[test]
    fn the_naive_ranges_hold_every_value() {
        let naive = ranges().naive();
        let range = &naive.activations["encoder"];
        assert_eq!((range.low, range.high, range.outliers.len()), (-2.5, 30.0, 0));
    }

    #[test]
    fn what_is_no_range_is_refused_by_name() {
        let path = Path::new("ranges.json");
        let text = ranges().to_json(path).expect("finite");
        for (from, to, message) in [
            ("\"low\":-1.25", "\"low\":3.0", "activation `encoder` goes from 3 to 2"),
            ("[1,", "[5,", "outliers that must ascend"),
            ("\"low\"", "\"lo\"", "unknown field `lo`"),
            ("{", "[", "line 2 column"),
        ] {
            let error = Ranges::parse(text.replacen(from, to, 1).as_bytes(), path).expect_err(message).to_string();
            assert!(error.starts_with("ranges.json: ") && error.contains(message), "{error}");
        }
    }
}
