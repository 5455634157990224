//! Inputs with known answers, as a manifest names them.

use std::collections::BTreeMap;

use serde::Serialize;
use wisp_core::Precision;

/// Inputs with known answers, and how close an answer must come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GoldenSpec {
    /// Where inputs and answers lie.
    #[serde(flatten)]
    pub answers: GoldenAnswers,
    /// How close an answer out of a shared batch must come to the answer of the row alone; always there for texts.
    pub batching: Option<Tolerance>,
    /// For each precision that may be proven, how close it must come; f32 is always there.
    #[serde(rename = "tolerance")]
    pub tolerances: BTreeMap<Precision, Tolerance>,
}

/// Where inputs and answers lie; all paths are relative to the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GoldenAnswers {
    /// For models with a tokenizer and the table `[embedding]`: [`GoldenVectors`](crate::GoldenVectors).
    Texts {
        /// JSON array of texts.
        texts: String,
        /// Their vectors: NumPy file of f32, `[texts, dimensions]`.
        vectors: String,
    },
    /// For all others: [`GoldenTensors`](crate::GoldenTensors).
    Tensors {
        /// NumPy files by name of the input and of the output.
        tensors: TensorFiles,
    },
}

/// NumPy files; the outermost axis of each runs over the cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorFiles {
    /// One for every input.
    pub inputs: BTreeMap<String, String>,
    /// One for every output that is compared, one at least.
    pub outputs: BTreeMap<String, String>,
}

/// How close an answer must come to its golden answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Smallest cosine, 0 to 1.
    pub min_cosine: f64,
    /// Largest difference of two components, in units of the output; at most 1 for vectors of texts.
    pub max_abs_error: f64,
}

impl GoldenAnswers {
    /// The files, in no order that means anything.
    #[must_use]
    pub fn files(&self) -> Vec<&str> {
        match self {
            Self::Texts { texts, vectors } => vec![texts, vectors],
            Self::Tensors { tensors } => {
                tensors.inputs.values().chain(tensors.outputs.values()).map(String::as_str).collect()
            }
        }
    }
}
