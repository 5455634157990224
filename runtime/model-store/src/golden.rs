//! Golden vectors: texts with the vectors that the model is known to give them.

mod tensors;

use std::collections::BTreeMap;

use wisp_core::{ErrorKind, Kinded, Precision};

pub use tensors::GoldenTensors;

use crate::Tolerance;
use crate::npy::{Matrix, NpyError};

/// The longest file of texts or vectors that is read.
pub(crate) const GOLDEN_LIMIT_BYTES: u64 = 256 << 20;

/// Texts, their vectors, and how close an answer must come.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenVectors {
    /// The texts.
    pub texts: Vec<String>,
    /// Length of a vector.
    pub dimensions: usize,
    /// For each precision that may be proven, how close it must come.
    pub tolerances: BTreeMap<Precision, Tolerance>,
    /// How close an answer out of a shared batch must come to the answer of the row alone.
    pub batching: Tolerance,
    /// One row a text: the constructor keeps their number equal, for [`GoldenVectors::vector`].
    values: Vec<f32>,
}

/// Why golden files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The texts are not a JSON array of strings.
    #[error("{file}: not a JSON array of strings: {source}")]
    Texts {
        /// The file, as the manifest names it.
        file: String,
        /// What JSON says, with line and column.
        source: serde_json::Error,
    },
    /// The vectors are not a NumPy file of f32, or a tensor is not one of a type that tensors have.
    #[error("{file}: {source}")]
    Vectors {
        /// The file, as the manifest names it.
        file: String,
        /// What is wrong with it.
        source: NpyError,
    },
    /// Texts, vectors and dimensions do not go together.
    #[error("{file}: has {rows} vectors of {columns}; {texts} texts of {dimensions} dimensions need as many")]
    Shape {
        /// The file of vectors.
        file: String,
        /// Vectors in it.
        rows: usize,
        /// Their length.
        columns: usize,
        /// Texts.
        texts: usize,
        /// Dimensions of the model.
        dimensions: usize,
    },
    /// Nothing to compare with.
    #[error("{file}: holds no text; write at least one")]
    Empty {
        /// The file of texts.
        file: String,
    },
    /// A tensor does not fit the signature.
    #[error("{file}: {tensor} must be {expected}, got {actual}")]
    Signature {
        /// The file.
        file: String,
        /// `input` or `output`, and its name.
        tensor: String,
        /// Type and shape in the manifest; the outermost axis runs over the cases.
        expected: String,
        /// Type and shape in the file.
        actual: String,
    },
    /// Files disagree on how many cases there are, or there is none.
    #[error("{file}: has {actual} cases, the file before it {expected}; every file needs as many, and at least one")]
    Cases {
        /// The file.
        file: String,
        /// Cases in the first file.
        expected: usize,
        /// Cases in this file.
        actual: usize,
    },
    /// A vector holds something that nothing is close to.
    #[error("{file}: vector {row} holds a value that is not finite")]
    NotFinite {
        /// The file of vectors.
        file: String,
        /// Index of the vector.
        row: usize,
    },
}

impl Kinded for GoldenError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl GoldenVectors {
    /// Puts the two files of a manifest together.
    ///
    /// # Errors
    /// [`GoldenError`], naming the file.
    pub(crate) fn parse(
        tolerances: &BTreeMap<Precision, Tolerance>,
        batching: Tolerance,
        dimensions: usize,
        texts: (&str, &[u8]),
        vectors: (&str, &[u8]),
    ) -> Result<Self, GoldenError> {
        let ((texts_file, texts), (file, vectors)) = (texts, vectors);
        let texts: Vec<String> = serde_json::from_slice(texts)
            .map_err(|source| GoldenError::Texts { file: texts_file.to_owned(), source })?;
        let file = file.to_owned();
        let matrix = Matrix::parse(vectors).map_err(|source| GoldenError::Vectors { file: file.clone(), source })?;
        if texts.is_empty() {
            return Err(GoldenError::Empty { file: texts_file.to_owned() });
        }
        let (rows, columns) = (matrix.rows, matrix.columns);
        if rows != texts.len() || columns != dimensions {
            return Err(GoldenError::Shape { file, rows, columns, texts: texts.len(), dimensions });
        }
        if let Some(index) = matrix.values.iter().position(|value| !value.is_finite()) {
            return Err(GoldenError::NotFinite { file, row: index / columns });
        }
        Ok(Self { texts, dimensions, tolerances: tolerances.clone(), batching, values: matrix.values })
    }

    /// The vector of text `index`, of [`GoldenVectors::dimensions`] values.
    ///
    /// # Panics
    /// When there is no such text.
    #[must_use]
    pub fn vector(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimensions..][..self.dimensions]
    }

    /// How close `precision` must come; `None` when the manifest does not admit it.
    #[must_use]
    pub fn tolerance(&self, precision: Precision) -> Option<Tolerance> {
        self.tolerances.get(&precision).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(dimensions: usize, texts: &[u8], vectors: &[u8]) -> Result<GoldenVectors, GoldenError> {
        let tolerance = Tolerance { min_cosine: 0.999, max_abs_error: 0.001 };
        let tolerances = BTreeMap::from([(Precision::F32, tolerance)]);
        GoldenVectors::parse(&tolerances, tolerance, dimensions, ("t.json", texts), ("v.npy", vectors))
    }

    fn vectors(rows: usize, columns: usize, value: f32) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
        bytes.extend(header.as_bytes());
        (0..rows * columns).for_each(|_| bytes.extend(value.to_le_bytes()));
        bytes
    }

    #[test]
    fn texts_and_vectors_go_together() {
        let golden = parse(3, br#"["a", "b"]"#, &vectors(2, 3, 0.5)).expect("fits");
        assert_eq!((golden.texts.len(), golden.vector(1)), (2, &[0.5; 3][..]));
        assert!(golden.tolerance(Precision::F32).is_some());
        assert!(golden.tolerance(Precision::Int8).is_none());
    }

    #[test]
    fn every_misfit_names_the_file() {
        let good = vectors(1, 3, 0.5);
        for (texts, vectors, message) in [
            (&b"[1]"[..], good.clone(), "t.json: not a JSON array of strings"),
            (b"[]", good.clone(), "t.json: holds no text"),
            (br#"["a"]"#, b"GIF89a".to_vec(), "v.npy: not a NumPy file"),
            (br#"["a", "b"]"#, good, "v.npy: has 1 vectors of 3; 2 texts of 3 dimensions need as many"),
            (br#"["a"]"#, self::vectors(1, 4, 0.5), "v.npy: has 1 vectors of 4"),
            (br#"["a"]"#, self::vectors(1, 3, f32::NAN), "v.npy: vector 0 holds a value that is not finite"),
        ] {
            let error = parse(3, texts, &vectors).expect_err(message).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
