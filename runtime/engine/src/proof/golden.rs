//! Golden vectors: does a session compute what the model is known to answer?

use serde::{Deserialize, Serialize};
use wisp_core::pooling::{normalize, pool};
use wisp_core::{Batch, NamedTensor, Session, Tensor};
use wisp_model_store::{EmbeddingSpec, Tolerance};

use super::ProofError;
use super::compare::{Difference, difference, numbers};

/// How close a session came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoldenProof {
    /// Cases compared.
    pub cases: usize,
    /// Smallest cosine between a golden answer and the session's.
    pub min_cosine: f64,
    /// Largest difference between two components.
    pub max_abs_error: f64,
    /// Index of the case with the smallest cosine.
    pub worst_case: usize,
}

/// Inputs with the answer that is known to be right.
#[derive(Clone, Debug)]
pub(crate) struct GoldenCase {
    /// Its number in the golden files.
    pub(crate) index: usize,
    /// One row.
    pub(crate) inputs: Vec<NamedTensor>,
    pub(crate) expected: Expected,
}

/// What is right.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The embedding of a text, however the session makes it.
    Embedding(Tensor),
    /// Outputs by name.
    Outputs(Vec<NamedTensor>),
}

impl Default for GoldenProof {
    /// Nothing compared yet.
    fn default() -> Self {
        Self { cases: 0, min_cosine: f64::INFINITY, max_abs_error: 0.0, worst_case: 0 }
    }
}

impl GoldenProof {
    fn add(&mut self, index: usize, difference: Difference) {
        self.cases += 1;
        // An answer that is not a number is the farthest of all, and stays it: every comparison with NaN is false.
        if difference.cosine < self.min_cosine || difference.cosine.is_nan() {
            (self.min_cosine, self.worst_case) = (difference.cosine, index);
        }
        if difference.max_abs_error > self.max_abs_error || difference.max_abs_error.is_nan() {
            self.max_abs_error = difference.max_abs_error;
        }
    }

    /// Whether everything was close enough.
    #[must_use]
    pub fn is_within(&self, tolerance: Tolerance) -> bool {
        self.min_cosine >= tolerance.min_cosine && self.max_abs_error <= tolerance.max_abs_error
    }
}

/// Runs cases one by one and compares.
pub(super) fn compare<'c>(
    session: &mut dyn Session,
    cases: impl IntoIterator<Item = &'c GoldenCase>,
    embedding: Option<&EmbeddingSpec>,
) -> Result<GoldenProof, ProofError> {
    let mut proof = GoldenProof::default();
    for case in cases {
        let outputs = session.run(&Batch::Padded(case.inputs.clone()))?;
        add(&mut proof, case, &outputs, embedding)?;
    }
    Ok(proof)
}

/// Compares the outputs of one case.
pub(super) fn add(
    proof: &mut GoldenProof,
    case: &GoldenCase,
    outputs: &[NamedTensor],
    embedding: Option<&EmbeddingSpec>,
) -> Result<(), ProofError> {
    match (&case.expected, embedding) {
        (Expected::Embedding(expected), Some(embedding)) => {
            proof.add(case.index, difference(expected, &embedded(outputs, embedding)?));
        }
        // Texts are golden for embeddings alone; the manifest's check sees to it.
        (Expected::Embedding(_), None) => {}
        (Expected::Outputs(expected), _) => {
            for expected in expected {
                let actual = find(outputs, &expected.name)?;
                check_finite(actual)?;
                proof.add(case.index, difference(&expected.tensor, &actual.tensor));
            }
        }
    }
    Ok(())
}

/// The vector of a single text, `[1, dimensions]`: the fused output, or the hidden states pooled here.
pub(crate) fn embedded(outputs: &[NamedTensor], embedding: &EmbeddingSpec) -> Result<Tensor, ProofError> {
    let width = embedding.dimensions;
    let name = embedding.fused_output.as_ref().or(embedding.hidden_output.as_ref()).map_or("", String::as_str);
    let output = find(outputs, name)?;
    check_finite(output)?;
    let mut values: Vec<f32> = numbers(&output.tensor).into_iter().map(|value| value as f32).collect();
    let is_fused = embedding.fused_output.is_some();
    if values.len() < width || !values.len().is_multiple_of(width) || (is_fused && values.len() != width) {
        let reason = format!("shape {:?} for one text of {width} dimensions", output.tensor.shape());
        return Err(ProofError::Output { output: name.to_owned(), reason });
    }
    if !is_fused {
        let mut vector = vec![0.0; width];
        pool(&values, embedding.pooling, &mut vector);
        if embedding.normalized {
            normalize(&mut vector);
        }
        values = vector;
    }
    Ok(Tensor::from_slice(&[1, width], &values)?)
}

fn find<'a>(outputs: &'a [NamedTensor], name: &str) -> Result<&'a NamedTensor, ProofError> {
    let missing = || ProofError::Output { output: name.to_owned(), reason: "it does not exist".to_owned() };
    outputs.iter().find(|output| output.name == name).ok_or_else(missing)
}

/// Refuses an output that holds something which nothing is close to.
pub(crate) fn check_finite(output: &NamedTensor) -> Result<(), ProofError> {
    let strange = numbers(&output.tensor).into_iter().find(|value| !value.is_finite());
    strange.map_or(Ok(()), |value| {
        Err(ProofError::Output { output: output.name.clone(), reason: format!("it holds {value} for golden inputs") })
    })
}
