//! The proof that a session computes what the model's golden vectors say.

use wisp_core::pooling::{normalize, pool};
use wisp_core::{Batch, NamedTensor, Precision, Session, TensorError};
use wisp_host::{ModelTokenizer, TokenizerError};
use wisp_model_store::{EmbeddingSpec, GoldenVectors};

/// Texts that are checked at every load: enough to catch a wrong file, library or device; the rest is for
/// `wisp models verify`.
const QUICK_TEXTS: usize = 4;

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofScope {
    /// The four shortest texts.
    Quick,
    /// All of them.
    All,
}

/// How close a session came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    /// Vectors compared.
    pub vectors: usize,
    /// Smallest cosine between a golden vector and the session's.
    pub min_cosine: f64,
    /// Largest difference between two components.
    pub max_abs_error: f64,
    /// Index of the text with the smallest cosine.
    pub worst_text: usize,
}

/// Why a session is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The answers are not those of the model.
    #[error(
        "golden vectors: text {} has cosine {:.7} and maximum error {:.1e}; {precision} must reach {min_cosine} and {max_abs_error:.1e}",
        .proof.worst_text, .proof.min_cosine, .proof.max_abs_error
    )]
    Differs {
        /// What was measured.
        proof: Proof,
        /// The precision.
        precision: Precision,
        /// Required cosine.
        min_cosine: f64,
        /// Allowed error.
        max_abs_error: f64,
    },
    /// The manifest gives no tolerance for this precision.
    #[error("the manifest has no tolerance for precision {precision}, so it cannot be proven")]
    NoTolerance {
        /// The precision.
        precision: Precision,
    },
    /// An output is missing or of another shape.
    #[error("output `{output}` is not as the manifest says: {reason}")]
    Output {
        /// The output.
        output: String,
        /// What is wrong.
        reason: String,
    },
    /// A text could not be tokenised.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The session failed.
    #[error(transparent)]
    Backend(#[from] wisp_core::BackendError),
    /// An output has another type.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Runs golden texts one by one and compares with the golden vectors.
///
/// # Errors
/// [`ProofError::Differs`] when the tolerance of the session's precision is not met; the other variants when the session
/// cannot be compared at all.
pub fn prove(
    session: &mut dyn Session,
    tokenizer: &ModelTokenizer,
    embedding: &EmbeddingSpec,
    golden: &GoldenVectors,
    scope: ProofScope,
) -> Result<Proof, ProofError> {
    let precision = session.info().precision;
    let tolerance = golden.tolerance(precision).ok_or(ProofError::NoTolerance { precision })?;
    let mut proof = Proof { vectors: 0, min_cosine: f64::INFINITY, max_abs_error: 0.0, worst_text: 0 };
    for index in chosen(golden, scope) {
        let vector = embed(session, tokenizer, embedding, &golden.texts[index])?;
        let expected = golden.vector(index);
        let (cosine, error) = compare(&vector, expected);
        proof.vectors += 1;
        proof.max_abs_error = proof.max_abs_error.max(error);
        // A vector that is not a number is the farthest of all.
        if cosine < proof.min_cosine || cosine.is_nan() {
            (proof.min_cosine, proof.worst_text) = (cosine, index);
        }
    }
    let is_close = proof.min_cosine >= tolerance.min_cosine && proof.max_abs_error <= tolerance.max_abs_error;
    if is_close {
        Ok(proof)
    } else {
        let (min_cosine, max_abs_error) = (tolerance.min_cosine, tolerance.max_abs_error);
        Err(ProofError::Differs { proof, precision, min_cosine, max_abs_error })
    }
}

fn chosen(golden: &GoldenVectors, scope: ProofScope) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..golden.texts.len()).collect();
    if scope == ProofScope::Quick {
        indices.sort_by_key(|&index| golden.texts[index].len());
        indices.truncate(QUICK_TEXTS);
    }
    indices
}

fn embed(
    session: &mut dyn Session,
    tokenizer: &ModelTokenizer,
    embedding: &EmbeddingSpec,
    text: &str,
) -> Result<Vec<f32>, ProofError> {
    let ids = tokenizer.encode(vec![text.to_owned()], true, true)?;
    let inputs = tokenizer.tensors(&[&ids[0]])?;
    let outputs = session.run(&Batch::Padded(inputs))?;
    let is_fused = embedding.fused_output.is_some();
    let name = embedding.fused_output.as_ref().or(embedding.hidden_output.as_ref());
    let name = name.map_or("", String::as_str);
    let output = find(&outputs, name)?;
    let values = output.tensor.view::<f32>()?;
    let width = embedding.dimensions;
    if values.len() < width || !values.len().is_multiple_of(width) || (is_fused && values.len() != width) {
        let reason = format!("shape {:?} for one text of {width} dimensions", output.tensor.shape());
        return Err(ProofError::Output { output: name.to_owned(), reason });
    }
    if is_fused {
        return Ok(values.to_vec());
    }
    let mut vector = vec![0.0; width];
    pool(values, embedding.pooling, &mut vector);
    if embedding.normalized {
        normalize(&mut vector);
    }
    Ok(vector)
}

fn find<'a>(outputs: &'a [NamedTensor], name: &str) -> Result<&'a NamedTensor, ProofError> {
    let missing = || ProofError::Output { output: name.to_owned(), reason: "it does not exist".to_owned() };
    outputs.iter().find(|output| output.name == name).ok_or_else(missing)
}

/// Cosine and largest component-wise difference of two vectors.
fn compare(a: &[f32], b: &[f32]) -> (f64, f64) {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    let differences = a.iter().zip(b).map(|(x, y)| f64::from((x - y).abs()));
    (if a.len() == b.len() { cosine } else { f64::NAN }, differences.fold(0.0, f64::max))
}
