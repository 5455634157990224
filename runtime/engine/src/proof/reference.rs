//! The golden cases of a model, ready to run: the shortest at once, all of them when they are asked for.
//!
//! A start of what was proven before compares the shortest alone, and tokenising the others would take longer than that.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use wisp_core::{NamedTensor, Precision, Tensor};
use wisp_host::{ModelTokenizer, TokenizerError};
use wisp_model_store::{GoldenVectors, Model, StoreError, Tolerance};

use super::golden::{Expected, GoldenCase};

/// Cases that are compared at every load of what was proven before: enough to catch a wrong file, library or device, and to
/// warm the session up.
const QUICK_CASES: usize = 4;

/// Samples of different lengths that the batching probe works with.
const PROBE_SAMPLES: usize = 4;

/// What a shared batch must reach where the manifest says nothing.
const EXACT: Tolerance = Tolerance { min_cosine: 0.99999, max_abs_error: 1e-4 };

/// The golden cases of a model.
pub(crate) struct Golden {
    /// The texts, where the cases are made of texts.
    texts: Option<GoldenVectors>,
    /// From the shortest on.
    shortest: Vec<GoldenCase>,
    /// From the shortest input to the longest.
    all: OnceLock<Vec<GoldenCase>>,
    tolerances: BTreeMap<Precision, Tolerance>,
    batching: Tolerance,
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

impl Golden {
    /// Reads the golden files of a model, and turns the shortest texts into inputs; `None` for a model without any.
    pub(crate) fn of(model: &Model, tokenizer: Option<&ModelTokenizer>) -> Result<Option<Self>, GoldenFilesError> {
        if let (Some(vectors), Some(tokenizer)) = (model.golden()?, tokenizer) {
            let mut indices: Vec<usize> = (0..vectors.texts.len()).collect();
            indices.sort_by_key(|&index| vectors.texts[index].len());
            indices.truncate(QUICK_CASES);
            let shortest = indices.into_iter().map(|index| case(&vectors, tokenizer, index));
            return Ok(Some(Self {
                shortest: shortest.collect::<Result<_, _>>()?,
                all: OnceLock::new(),
                tolerances: vectors.tolerances.clone(),
                batching: vectors.batching,
                texts: Some(vectors),
            }));
        }
        let Some(tensors) = model.golden_tensors()? else { return Ok(None) };
        let cases = (0..tensors.cases()).filter_map(|index| {
            let (inputs, outputs) = tensors.case(index)?;
            Some(GoldenCase { index, inputs, expected: Expected::Outputs(outputs) })
        });
        let all = ascending(cases.collect());
        // Without a tolerance of its own, a shared batch must come as close as f32 must.
        let batching = tensors.batching.or_else(|| tensors.tolerance(Precision::F32)).unwrap_or(EXACT);
        let shortest = all.iter().take(QUICK_CASES).cloned().collect();
        Ok(Some(Self { texts: None, shortest, all: all.into(), tolerances: tensors.tolerances, batching }))
    }

    /// The few cases that every load compares.
    pub(crate) fn shortest(&self) -> &[GoldenCase] {
        &self.shortest
    }

    /// Every case; the first call turns all texts into inputs.
    pub(crate) fn all(&self, tokenizer: Option<&ModelTokenizer>) -> Result<&[GoldenCase], TokenizerError> {
        if let (None, Some(vectors), Some(tokenizer)) = (self.all.get(), &self.texts, tokenizer) {
            let cases = (0..vectors.texts.len()).map(|index| case(vectors, tokenizer, index));
            let cases = cases.collect::<Result<Vec<_>, _>>()?;
            return Ok(self.all.get_or_init(|| ascending(cases)));
        }
        // Texts without a tokenizer are no golden cases: `of` made none of them.
        Ok(self.all.get().map_or(&[], Vec::as_slice))
    }

    /// The shortest case: what a session is asked when it is in doubt.
    pub(crate) fn canary(&self) -> Option<GoldenCase> {
        self.shortest.first().cloned()
    }

    /// How close a precision must come.
    pub(crate) fn tolerance(&self, precision: Precision) -> Option<Tolerance> {
        self.tolerances.get(&precision).copied()
    }

    /// How close a row of a batch must come to the row alone: other precisions round differently in other shapes.
    pub(super) fn batching_tolerance(&self, precision: Precision) -> Tolerance {
        match (precision, self.tolerance(precision)) {
            (Precision::F32, _) | (_, None) => self.batching,
            (_, Some(own)) => Tolerance {
                min_cosine: own.min_cosine.min(self.batching.min_cosine),
                max_abs_error: own.max_abs_error.max(self.batching.max_abs_error),
            },
        }
    }
}

fn case(vectors: &GoldenVectors, tokenizer: &ModelTokenizer, index: usize) -> Result<GoldenCase, TokenizerError> {
    let ids = tokenizer.encode(vec![vectors.texts[index].clone()], true, true)?;
    let inputs = tokenizer.tensors(&[&ids[0]])?;
    let expected = Tensor::from_slice(&[1, vectors.dimensions], vectors.vector(index))?;
    Ok(GoldenCase { index, inputs, expected: Expected::Embedding(expected) })
}

fn ascending(mut cases: Vec<GoldenCase>) -> Vec<GoldenCase> {
    cases.sort_by_key(|case| case.inputs.iter().map(|input| input.tensor.element_count()).max());
    cases
}

/// Some of `cases` spread over all lengths: the shortest, the longest, and what lies between.
pub(super) fn samples(cases: &[GoldenCase]) -> Vec<Vec<NamedTensor>> {
    let last = cases.len().saturating_sub(1);
    let mut indices: Vec<_> = (0..PROBE_SAMPLES).map(|sample| sample * last / (PROBE_SAMPLES - 1)).collect();
    indices.dedup();
    indices.into_iter().filter_map(|index| cases.get(index)).map(|case| case.inputs.clone()).collect()
}

/// The sample that speed is measured with: short, as most requests are.
pub(crate) fn typical(cases: &[GoldenCase]) -> Option<&[NamedTensor]> {
    cases.get(cases.len() / 3).map(|case| case.inputs.as_slice())
}
