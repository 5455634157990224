//! Proofs: what a session must show before it, its precision and its batches are used.
//!
//! [`golden`] compares with the model's golden vectors, [`batching`] looks whether rows disturb each other, [`speed`] times
//! what is left to choose from, and [`cache`] keeps the results. [`mod@reference`] holds what is compared with.

pub(crate) mod batching;
pub(crate) mod cache;
mod compare;
pub(crate) mod golden;
mod reference;
pub(crate) mod speed;

use serde::{Deserialize, Serialize};
use wisp_core::{NamedTensor, Precision, Session, TensorError};
use wisp_host::{ModelTokenizer, TokenizerError};
use wisp_model_store::{EmbeddingSpec, Model, Store, Tolerance};

use batching::{BatchingProof, Probe};
use golden::{GoldenCase, GoldenProof};
pub(crate) use reference::{Golden, typical};
use speed::Speed;

/// What a session has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// How close it came to the golden vectors; `None` for a model without any.
    pub golden: Option<GoldenProof>,
    /// What may share an inference.
    pub batching: BatchingProof,
    /// How fast it is; `None` when it was not measured.
    pub speed: Option<Speed>,
    /// How many sessions do most; `None` when that was not asked.
    #[serde(default)]
    pub side_by_side: Option<SideBySide>,
}

/// What sessions side by side get done, against fewer with more threads each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideBySide {
    /// Sessions that are worth it.
    pub sessions: usize,
    /// Rows a second of these.
    pub rows_per_s: f64,
    /// The most that were tried.
    pub tried: usize,
    /// Rows a second of those.
    pub tried_rows_per_s: f64,
}

impl std::fmt::Display for SideBySide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.0} rows/s)", self.sessions, self.rows_per_s)?;
        if self.tried > self.sessions {
            write!(f, ", {} do {:.0} rows/s", self.tried, self.tried_rows_per_s)?;
        }
        Ok(())
    }
}

/// Why a session is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The answers are not those of the model.
    #[error(
        "golden vectors: case {} has cosine {:.7} and maximum error {:.1e}; {precision} must reach {} and {:.1e}",
        .proof.worst_case, .proof.min_cosine, .proof.max_abs_error, .tolerance.min_cosine, .tolerance.max_abs_error
    )]
    Differs {
        /// What was measured.
        proof: GoldenProof,
        /// The precision.
        precision: Precision,
        /// What it must reach.
        tolerance: Tolerance,
    },
    /// The manifest gives no tolerance for this precision.
    #[error(
        "the manifest has no tolerance for precision {precision}, so it cannot be proven; add golden.tolerance.{precision}"
    )]
    NoTolerance {
        /// The precision.
        precision: Precision,
    },
    /// There is nothing to prove a reduced precision with.
    #[error(
        "the model has no golden vectors, so precision {precision} cannot be proven; use f32, or import the model with golden inputs"
    )]
    NoGolden {
        /// The precision.
        precision: Precision,
    },
    /// An output is missing, of another shape, or no number.
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

/// The results of proofs that are kept in the cache folder of this user, made by any process.
#[must_use]
pub fn proofs(store: &Store) -> Vec<cache::ProofRecord> {
    cache::ProofCache::of(store).all()
}

/// Compares a session with the shortest golden cases, which also warms it up.
///
/// # Errors
/// As [`prove`].
pub(crate) fn prove_quickly(
    session: &mut dyn Session,
    model: &Model,
    golden: &Golden,
) -> Result<GoldenProof, ProofError> {
    prove_golden(session, model, golden, golden.shortest())
}

fn prove_golden(
    session: &mut dyn Session,
    model: &Model,
    golden: &Golden,
    cases: &[GoldenCase],
) -> Result<GoldenProof, ProofError> {
    let precision = session.info().precision;
    let tolerance = golden.tolerance(precision).ok_or(ProofError::NoTolerance { precision })?;
    let proof = golden::compare(session, cases, model.manifest.embedding.as_ref())?;
    if proof.is_within(tolerance) { Ok(proof) } else { Err(ProofError::Differs { proof, precision, tolerance }) }
}

/// Whether the outputs of one case are right; the error says what is wrong.
pub(crate) fn check_case(
    case: &GoldenCase,
    outputs: &[NamedTensor],
    embedding: Option<&EmbeddingSpec>,
    tolerance: Tolerance,
) -> Result<(), String> {
    let mut proof = GoldenProof::default();
    golden::add(&mut proof, case, outputs, embedding).map_err(|error| error.to_string())?;
    match proof.is_within(tolerance) {
        true => Ok(()),
        false => Err(format!(
            "a golden answer has cosine {:.7} and maximum error {:.1e}",
            proof.min_cosine, proof.max_abs_error
        )),
    }
}

/// Everything that is proven of a session once: golden vectors, batching, speed.
///
/// # Errors
/// [`ProofError::Differs`] when the tolerance of its precision is not met, [`ProofError::NoGolden`] for another precision than
/// f32 of a model without golden vectors; the others when it cannot be compared at all. What the batching probe refuses is
/// part of the result: the session can be used, one row at a time.
pub(crate) fn prove(
    session: &mut dyn Session,
    model: &Model,
    golden: Option<&Golden>,
    tokenizer: Option<&ModelTokenizer>,
) -> Result<Proof, ProofError> {
    let precision = session.info().precision;
    let Some(golden) = golden else {
        if precision != Precision::F32 {
            return Err(ProofError::NoGolden { precision });
        }
        let batching = BatchingProof::refused("the model has no golden vectors");
        return Ok(Proof { golden: None, batching, speed: None, side_by_side: None });
    };
    let cases = golden.all(tokenizer)?;
    let compared = prove_golden(session, model, golden, cases)?;
    let ragged = model.manifest.ragged.as_ref();
    let tolerance = golden.batching_tolerance(precision);
    let batching = Probe { samples: reference::samples(cases), ragged, tolerance }.run(session);
    let speed = measure(session, model, cases, &batching);
    Ok(Proof { golden: Some(compared), batching, speed, side_by_side: None })
}

/// Measures a session again whose proof says that something else was running, after a quick look whether it still computes the
/// same.
///
/// # Errors
/// As [`prove`].
pub(crate) fn measure_again(
    session: &mut dyn Session,
    model: &Model,
    golden: &Golden,
    tokenizer: Option<&ModelTokenizer>,
    proof: &Proof,
) -> Result<Option<Speed>, ProofError> {
    prove_quickly(session, model, golden)?;
    Ok(measure(session, model, golden.all(tokenizer)?, &proof.batching))
}

fn measure(session: &mut dyn Session, model: &Model, cases: &[GoldenCase], batching: &BatchingProof) -> Option<Speed> {
    let (sample, ragged) = (reference::typical(cases)?, model.manifest.ragged.as_ref());
    speed::measure(session, sample, ragged, batching.rows.is_proven())
}
