//! Proofs: what a session must show before it, its precision and its batches are used.
//!
//! [`golden`] compares with the model's golden vectors, [`batching`] looks whether rows disturb each other, [`speed`] times
//! what is left to choose from, and [`cache`] keeps the results.

pub(crate) mod batching;
pub(crate) mod cache;
mod compare;
pub(crate) mod golden;
pub(crate) mod speed;

use serde::{Deserialize, Serialize};
use wisp_core::{NamedTensor, Precision, Session, TensorError};
use wisp_host::{ModelTokenizer, TokenizerError};
use wisp_model_store::{EmbeddingSpec, Model, Store, StoreError, Tolerance};

use batching::{BatchingProof, Probe};
use golden::{Expected, GoldenCase, GoldenProof};
use speed::Speed;

/// Cases that are compared at every load of what was proven before: enough to catch a wrong file, library or device, and to
/// warm the session up.
const QUICK_CASES: usize = 4;

/// Samples of different lengths that the batching probe works with.
const PROBE_SAMPLES: usize = 4;

/// How much of the golden vectors is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofScope {
    /// The four shortest cases.
    Quick,
    /// All of them.
    All,
}

/// What a session has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// How close it came to the golden vectors; `None` for a model without any.
    pub golden: Option<GoldenProof>,
    /// What may share an inference.
    pub batching: BatchingProof,
    /// How fast it is; `None` when it was not measured.
    pub speed: Option<Speed>,
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

/// What a shared batch must reach where the manifest says nothing.
const EXACT: Tolerance = Tolerance { min_cosine: 0.99999, max_abs_error: 1e-4 };

/// The golden cases of a model, ready to run.
pub(crate) struct Golden {
    cases: Vec<GoldenCase>,
    tolerances: std::collections::BTreeMap<Precision, Tolerance>,
    batching: Tolerance,
}

impl Golden {
    /// Reads the golden files of a model and turns texts into inputs; `None` for a model without any.
    pub(crate) fn of(model: &Model, tokenizer: Option<&ModelTokenizer>) -> Result<Option<Self>, GoldenFilesError> {
        if let (Some(vectors), Some(tokenizer)) = (model.golden()?, tokenizer) {
            let case = |index: usize| {
                let ids = tokenizer.encode(vec![vectors.texts[index].clone()], true, true)?;
                let inputs = tokenizer.tensors(&[&ids[0]])?;
                let expected = wisp_core::Tensor::from_slice(&[1, vectors.dimensions], vectors.vector(index))
                    .map_err(TokenizerError::Tensor)?;
                Ok(GoldenCase { index, inputs, expected: Expected::Embedding(expected) })
            };
            let cases = (0..vectors.texts.len()).map(case).collect::<Result<_, TokenizerError>>()?;
            return Ok(Some(Self { cases, tolerances: vectors.tolerances, batching: vectors.batching }));
        }
        let Some(tensors) = model.golden_tensors()? else { return Ok(None) };
        let cases = (0..tensors.cases()).filter_map(|index| {
            let (inputs, outputs) = tensors.case(index)?;
            Some(GoldenCase { index, inputs, expected: Expected::Outputs(outputs) })
        });
        let cases = cases.collect();
        // Without a tolerance of its own, a shared batch must come as close as f32 must.
        let batching = tensors.batching.or_else(|| tensors.tolerance(Precision::F32)).unwrap_or(EXACT);
        Ok(Some(Self { cases, tolerances: tensors.tolerances, batching }))
    }

    /// The shortest case: what a session is asked when it is in doubt.
    pub(crate) fn canary(&self) -> Option<GoldenCase> {
        self.ascending().first().map(|case| (*case).clone())
    }

    /// How close a precision must come.
    pub(crate) fn tolerance(&self, precision: Precision) -> Option<Tolerance> {
        self.tolerances.get(&precision).copied()
    }

    /// Cases from the shortest input to the longest.
    fn ascending(&self) -> Vec<&GoldenCase> {
        let mut cases: Vec<_> = self.cases.iter().collect();
        cases.sort_by_key(|case| case.inputs.iter().map(|input| input.tensor.element_count()).max());
        cases
    }

    /// Some cases spread over all lengths: the shortest, the longest, and what lies between.
    fn samples(&self) -> Vec<Vec<NamedTensor>> {
        let cases = self.ascending();
        let last = cases.len().saturating_sub(1);
        let mut indices: Vec<_> = (0..PROBE_SAMPLES).map(|sample| sample * last / (PROBE_SAMPLES - 1)).collect();
        indices.dedup();
        indices.into_iter().filter_map(|index| cases.get(index)).map(|case| case.inputs.clone()).collect()
    }

    /// The sample that speed is measured with: short, as most requests are.
    fn typical(&self) -> Option<&[NamedTensor]> {
        let cases = self.ascending();
        cases.get(cases.len() / 3).map(|case| case.inputs.as_slice())
    }

    /// How close a row of a batch must come to the row alone: other precisions round differently in other shapes.
    fn batching_tolerance(&self, precision: Precision) -> Tolerance {
        match (precision, self.tolerance(precision)) {
            (Precision::F32, _) | (_, None) => self.batching,
            (_, Some(own)) => Tolerance {
                min_cosine: own.min_cosine.min(self.batching.min_cosine),
                max_abs_error: own.max_abs_error.max(self.batching.max_abs_error),
            },
        }
    }
}

/// Why golden files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GoldenFilesError {
    #[error(transparent)]
    Store(Box<StoreError>),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl From<StoreError> for GoldenFilesError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// The results of proofs that are kept in the cache folder of this user, made by any process.
#[must_use]
pub fn proofs(store: &Store) -> Vec<cache::ProofRecord> {
    cache::ProofCache::at(store.home().proofs()).all()
}

/// Compares a session with golden vectors: all of them, or a few that also warm it up.
///
/// # Errors
/// [`ProofError::Differs`] when the tolerance of its precision is not met; the others when it cannot be compared at all.
pub(crate) fn prove_golden(
    session: &mut dyn Session,
    model: &Model,
    golden: &Golden,
    scope: ProofScope,
) -> Result<GoldenProof, ProofError> {
    let precision = session.info().precision;
    let tolerance = golden.tolerance(precision).ok_or(ProofError::NoTolerance { precision })?;
    let cases = golden.ascending();
    let count = if scope == ProofScope::Quick { QUICK_CASES.min(cases.len()) } else { cases.len() };
    let proof = golden::compare(session, cases.into_iter().take(count), model.manifest.embedding.as_ref())?;
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
/// As [`prove_golden`], and [`ProofError::NoGolden`] for another precision than f32 of a model without golden vectors. What
/// the batching probe refuses is part of the result: the session can be used, one row at a time.
pub(crate) fn prove(session: &mut dyn Session, model: &Model, golden: Option<&Golden>) -> Result<Proof, ProofError> {
    let precision = session.info().precision;
    let Some(golden) = golden else {
        if precision != Precision::F32 {
            return Err(ProofError::NoGolden { precision });
        }
        let batching = BatchingProof::refused("the model has no golden vectors");
        return Ok(Proof { golden: None, batching, speed: None });
    };
    let compared = prove_golden(session, model, golden, ProofScope::All)?;
    let ragged = model.manifest.ragged.as_ref();
    let tolerance = golden.batching_tolerance(precision);
    let batching = Probe { samples: golden.samples(), ragged, tolerance }.run(session);
    let may_batch = batching.rows.is_proven();
    let speed = golden.typical().and_then(|sample| speed::measure(session, sample, ragged, may_batch));
    Ok(Proof { golden: Some(compared), batching, speed })
}
