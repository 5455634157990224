//! The batching probe: does a row's answer depend on the rows beside it, or on how far it was filled up?
//!
//! The same row is run alone, beside others, in front of and behind them, filled up to several lengths, and beside rows that
//! nobody would send: extreme values, nothing but padding. What must not change is compared within the manifest's tolerance.
//! Public models fail this, so nothing is batched that was not probed here.

use serde::{Deserialize, Serialize};
use wisp_core::rows::{gather, resized, split};
use wisp_core::{Axis, Batch, DataType, NamedTensor, Ragged, Session, Tensor};
use wisp_model_store::Tolerance;

use super::compare::difference;

/// Lengths at which rows share a batch without any padding.
const LENGTHS: [usize; 3] = [3, 16, 40];

/// Rows of each length that are compared with what they are alone.
const ROWS_COMPARED: usize = 2;

/// How much longer than its own length a row is filled up.
const FILLED_BY: [usize; 4] = [1, 7, 32, 150];

/// Whether an optimisation may be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Answers stay the same, up to this error relative to the largest value of an answer, or to 1 where that is smaller.
    Proven {
        /// Largest error seen.
        max_error: f64,
    },
    /// They do not, or it cannot be told.
    Refused {
        /// What was seen.
        reason: String,
    },
}

/// What may share an inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchingProof {
    /// Rows of one length may share an inference.
    pub rows: Verdict,
    /// Rows may be filled up to the length of longer ones.
    pub padding: Verdict,
}

/// What the probe works with.
pub(crate) struct Probe<'a> {
    /// Entries of one row each, of different lengths where the model has a ragged axis.
    pub(crate) samples: Vec<Vec<NamedTensor>>,
    pub(crate) ragged: Option<&'a Ragged>,
    pub(crate) tolerance: Tolerance,
}

impl Verdict {
    /// Whether it may be used.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Proven { .. })
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }

    fn of(outcome: Result<f64, String>) -> Self {
        match outcome {
            Ok(max_error) => Self::Proven { max_error },
            Err(reason) => Self::Refused { reason },
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proven { max_error } => write!(f, "proven (error {max_error:.1e})"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

impl BatchingProof {
    /// Neither may be used.
    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self { rows: Verdict::refused(reason), padding: Verdict::refused(reason) }
    }
}

impl Probe<'_> {
    /// Runs the probe. A session that fails on the way has proven nothing.
    pub(crate) fn run(&self, session: &mut dyn Session) -> BatchingProof {
        if let Some(input) =
            session.info().signature.inputs.iter().find(|input| input.shape.first() != Some(&Axis::Free))
        {
            let reason = format!("the first axis of input `{}` is fixed: {}", input.name, input.shape_text());
            return BatchingProof::refused(&reason);
        }
        if self.samples.is_empty() {
            return BatchingProof::refused("there are no golden inputs to probe with");
        }
        let rows = Verdict::of(self.rows(session));
        let padding = match self.ragged {
            Some(ragged) => Verdict::of(self.padding(session, ragged)),
            None => Verdict::refused("all rows have one shape; there is nothing to fill up"),
        };
        BatchingProof { rows, padding }
    }

    /// Rows of one length beside each other.
    fn rows(&self, session: &mut dyn Session) -> Result<f64, String> {
        let mut max_error: f64 = 0.0;
        for group in self.groups() {
            for (index, row) in group.iter().enumerate().take(ROWS_COMPARED) {
                let others = group.iter().enumerate().filter(|(other, _)| *other != index);
                let mut neighbours: Vec<_> = others.map(|(_, other)| other.clone()).collect();
                neighbours.push(self.extreme(row));
                neighbours.extend(self.ragged.map(|ragged| masked_out(row, ragged)));
                max_error = max_error.max(self.beside(session, row, &neighbours)?);
            }
        }
        Ok(max_error)
    }

    /// One row in front of each neighbour, behind it, and among all of them.
    fn beside(
        &self,
        session: &mut dyn Session,
        row: &Vec<NamedTensor>,
        neighbours: &[Vec<NamedTensor>],
    ) -> Result<f64, String> {
        let alone = run(session, row)?;
        let mut max_error: f64 = 0.0;
        for neighbour in neighbours {
            max_error = max_error.max(self.compare(session, &[row, neighbour], 0, &alone, "beside another row")?);
            max_error = max_error.max(self.compare(session, &[neighbour, row], 1, &alone, "behind another row")?);
        }
        let mut many: Vec<&Vec<NamedTensor>> = neighbours.iter().collect();
        let place = neighbours.len() / 2;
        many.insert(place, row);
        Ok(max_error.max(self.compare(session, &many, place, &alone, "among many rows")?))
    }

    /// Rows filled up: alone to several lengths, then beside longer ones.
    fn padding(&self, session: &mut dyn Session, ragged: &Ragged) -> Result<f64, String> {
        let longest = self.samples.iter().map(|sample| length(sample, ragged)).max().unwrap_or(0);
        let short = self.short_rows(ragged, longest);
        if short.is_empty() {
            return Err("no golden input is longer than another, so nothing can be filled up".to_owned());
        }
        let mut max_error: f64 = 0.0;
        let mut batch: Vec<&Vec<NamedTensor>> = short.iter().chain(&self.samples).collect();
        let extreme =
            self.samples.iter().max_by_key(|sample| length(sample, ragged)).map(|sample| self.extreme(sample));
        batch.extend(&extreme);
        for (index, row) in short.iter().enumerate() {
            let own = length(row, ragged);
            let alone = run(session, row)?;
            // A model takes rows as long as its longest; beyond that nothing is known about it.
            let lengths = FILLED_BY.map(|more| own + more).into_iter().filter(|&filled| filled < longest);
            for filled in lengths.chain([longest]) {
                let what = format!("filled up from {own} to {filled}");
                let row = filled_up(row, ragged, filled);
                max_error = max_error.max(self.compare(session, &[&row], 0, &alone, &what)?);
            }
            max_error = max_error.max(self.compare(session, &batch, index, &alone, "beside longer rows")?);
        }
        Ok(max_error)
    }

    /// Samples, whole and cut, that are shorter than the longest.
    fn short_rows(&self, ragged: &Ragged, longest: usize) -> Vec<Vec<NamedTensor>> {
        let whole = self.samples.iter().filter(|sample| length(sample, ragged) < longest).cloned();
        let cut = self.samples.iter().zip(LENGTHS).filter(|(sample, cut)| length(sample, ragged) > *cut);
        whole.chain(cut.map(|(sample, cut)| filled_up(sample, ragged, cut))).collect()
    }

    /// Samples cut to equal lengths; without a ragged axis they are equal as they are.
    fn groups(&self) -> Vec<Vec<Vec<NamedTensor>>> {
        let Some(ragged) = self.ragged else { return vec![self.samples.clone()] };
        let cut_to = |wanted: usize| {
            let long = self.samples.iter().filter(|sample| length(sample, ragged) >= wanted);
            long.map(|sample| filled_up(sample, ragged, wanted)).collect::<Vec<_>>()
        };
        let groups: Vec<_> = LENGTHS.into_iter().map(cut_to).filter(|group| !group.is_empty()).collect();
        // Samples shorter than every probed length still have lengths of their own.
        if groups.is_empty() { self.samples.iter().map(|sample| vec![sample.clone()]).collect() } else { groups }
    }

    /// A row of the shape of `row` with the largest values that golden inputs hold, or values far outside them.
    fn extreme(&self, row: &[NamedTensor]) -> Vec<NamedTensor> {
        let extreme = |input: &NamedTensor| {
            let is_mask = self.ragged.is_some_and(|ragged| ragged.mask_input == input.name);
            let largest = || {
                let of_input = self.samples.iter().flatten().filter(|other| other.name == input.name);
                of_input.filter_map(|other| integers(&other.tensor)).flatten().max().unwrap_or(0)
            };
            let value = match input.tensor.data_type() {
                DataType::I32 | DataType::I64 if is_mask => 1.0,
                DataType::I32 | DataType::I64 => largest() as f64,
                DataType::U8 => 255.0,
                DataType::F16 | DataType::Bf16 | DataType::F32 | DataType::F64 => 1e3,
            };
            NamedTensor::new(&*input.name, constant(&input.tensor, value))
        };
        row.iter().map(extreme).collect()
    }

    /// Runs entries together and compares the answer of one with what it was alone.
    fn compare(
        &self,
        session: &mut dyn Session,
        entries: &[&Vec<NamedTensor>],
        index: usize,
        alone: &[NamedTensor],
        what: &str,
    ) -> Result<f64, String> {
        let views: Vec<&[NamedTensor]> = entries.iter().map(|entry| entry.as_slice()).collect();
        let batch = gather(&views, self.ragged).map_err(|error| error.to_string())?;
        let outputs = run(session, &batch)?;
        let parts = split(&outputs, &vec![1; entries.len()])
            .ok_or_else(|| format!("an output does not have {} rows {what}", entries.len()))?;
        let mut max_error: f64 = 0.0;
        for (expected, actual) in alone.iter().zip(&parts[index]) {
            let actual = cut_like(&actual.tensor, &expected.tensor)
                .ok_or_else(|| format!("output `{}` has another number of axes {what}", expected.name))?;
            let difference = difference(&expected.tensor, &actual);
            if !difference.is_within(self.tolerance) {
                return Err(format!(
                    "output `{}` changes when the row is {what}: cosine {:.6}, error {:.3}",
                    expected.name, difference.cosine, difference.relative_error
                ));
            }
            max_error = max_error.max(difference.relative_error);
        }
        Ok(max_error)
    }
}

fn run(session: &mut dyn Session, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, String> {
    session.run(&Batch::Padded(inputs.to_vec())).map_err(|error| format!("the session failed: {error}"))
}

/// Length of an entry along the ragged axis.
fn length(entry: &[NamedTensor], ragged: &Ragged) -> usize {
    let mask = entry.iter().find(|input| input.name == ragged.mask_input);
    mask.and_then(|mask| mask.tensor.shape().get(ragged.axis)).copied().unwrap_or(0)
}

/// The entry with its ragged inputs cut or filled up to `length`.
fn filled_up(entry: &[NamedTensor], ragged: &Ragged, length: usize) -> Vec<NamedTensor> {
    let fill = |input: &NamedTensor| {
        let (Some(&value), true) = (ragged.pad_values.get(&input.name), input.tensor.shape().len() > ragged.axis)
        else {
            return input.clone();
        };
        let mut shape = input.tensor.shape().to_vec();
        shape[ragged.axis] = length;
        // Shapes of a few hundred elements: too large to address is not possible.
        let tensor = resized(&input.tensor, &shape, value).unwrap_or_else(|_| input.tensor.clone());
        NamedTensor::new(&*input.name, tensor)
    };
    entry.iter().map(fill).collect()
}

/// A row that is nothing but padding.
fn masked_out(entry: &[NamedTensor], ragged: &Ragged) -> Vec<NamedTensor> {
    let pad = |input: &NamedTensor| match ragged.pad_values.get(&input.name) {
        Some(&value) => NamedTensor::new(&*input.name, constant(&input.tensor, value)),
        None => input.clone(),
    };
    entry.iter().map(pad).collect()
}

/// A tensor of the same type and shape, every element `value`.
fn constant(tensor: &Tensor, value: f64) -> Tensor {
    let bytes = tensor.data_type().encode(value).repeat(tensor.element_count());
    Tensor::new(tensor.data_type(), tensor.shape(), bytes.into()).unwrap_or_else(|_| tensor.clone())
}

fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor.data_type() {
        DataType::I64 => tensor.view::<i64>().ok().map(<[i64]>::to_vec),
        DataType::I32 => tensor.view::<i32>().ok().map(|values| values.iter().map(|&value| i64::from(value)).collect()),
        _ => None,
    }
}

/// An output row cut back to the shape that it has when the row runs alone.
fn cut_like(batched: &Tensor, alone: &Tensor) -> Option<Tensor> {
    (batched.shape().len() == alone.shape().len()).then(|| resized(batched, alone.shape(), 0.0).ok()).flatten()
}
