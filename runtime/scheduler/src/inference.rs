//! One batch through a session: rows put together, run, and taken apart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::time::Instant;
use wisp_core::aligned::BufferPool;
use wisp_core::rows::{gather_pooled, resized, split};
use wisp_core::{Axis, BackendError, Batch, NamedTensor, Session};

use crate::cost::Size;
use crate::job::{Part, Ran};
use crate::rules::BatchRules;
use crate::{BatchShare, ScheduleError};

/// A session with what it needs to run batches.
pub(crate) struct Runner {
    pub(crate) model: Arc<str>,
    pub(crate) session: Box<dyn Session>,
    pub(crate) rules: Arc<BatchRules>,
    pool: BufferPool,
    ragged_outputs: RaggedOutputs,
}

/// A batch that is done: outputs of each part, in order.
pub(crate) struct Done {
    pub(crate) outputs: Vec<Vec<NamedTensor>>,
    pub(crate) ran: Ran,
    pub(crate) size: Size,
}

/// Which outputs are as long as the inputs are, learned from what the session answers.
///
/// A signature calls an axis free that follows the length, and one that merely has no fixed length there. Cutting the second
/// kind back would lose data, so rows of different lengths meet only when it is known which is which.
#[derive(Default)]
struct RaggedOutputs {
    outputs: Vec<Known>,
}

#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// Seen as long as the inputs, at this length only.
    AsLongAt(usize),
    /// As long as the inputs, at two lengths or more.
    Ragged,
    /// Of a length of its own.
    Fixed,
}

impl Runner {
    pub(crate) fn new(model: Arc<str>, session: Box<dyn Session>, rules: Arc<BatchRules>) -> Self {
        Self { model, session, rules, pool: BufferPool::default(), ragged_outputs: RaggedOutputs::default() }
    }

    /// Another session takes over; what was learned of outputs may not hold for it.
    pub(crate) fn replace(&mut self, session: Box<dyn Session>) {
        self.session = session;
        self.ragged_outputs = RaggedOutputs::default();
    }

    /// Parts of a batch that can run together now: all of them, or those of the first one's length as long as it is not known
    /// which outputs follow the length.
    pub(crate) fn together(&self, parts: Vec<Part>) -> Vec<Vec<Part>> {
        if self.rules.ragged.is_none() || self.ragged_outputs.is_known() {
            return vec![parts];
        }
        let mut groups: Vec<Vec<Part>> = Vec::new();
        for part in parts {
            match groups.iter_mut().find(|group| group[0].job.shape.length == part.job.shape.length) {
                Some(group) => group.push(part),
                None => groups.push(vec![part]),
            }
        }
        groups
    }

    /// Runs these parts as one inference.
    pub(crate) fn run(&mut self, parts: &[Part]) -> Result<Done, ScheduleError> {
        let started_at = Instant::now();
        let inputs: Vec<Vec<NamedTensor>> = parts.iter().map(Part::inputs).collect();
        let views: Vec<&[NamedTensor]> = inputs.iter().map(Vec::as_slice).collect();
        let batch = match inputs.len() {
            1 => inputs.into_iter().next().unwrap_or_default(),
            _ => gather_pooled(&self.pool, &views, self.rules.ragged.as_ref())
                .map_err(|error| BackendError::Input(error.to_string()))?,
        };
        let gathered_at = Instant::now();
        let outputs = self.infer(&Batch::Padded(batch))?;
        let inferred_at = Instant::now();

        let length = parts.iter().map(|part| part.job.shape.length).max().unwrap_or(1);
        if self.rules.ragged.is_some() {
            self.learn(&outputs, length);
        }
        let outputs = self.apart(outputs, parts, length)?;
        let ended_at = Instant::now();
        let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
        let tokens: usize = parts.iter().map(Part::tokens).sum();
        let share = BatchShare {
            inferences: 1,
            rows: rows as u64,
            tokens: tokens as u64,
            padded_tokens: if self.rules.is_packed { tokens as u64 } else { (rows * length) as u64 },
        };
        let gather = (gathered_at - started_at) + (ended_at - inferred_at);
        let ran = Ran { started_at, gathered_at, ended_at, gather, infer: inferred_at - gathered_at, share };
        Ok(Done { outputs, ran, size: self.size(parts, length) })
    }

    /// What an inference of these parts should cost.
    pub(crate) fn size(&self, parts: &[Part], length: usize) -> Size {
        let sizes = parts.iter().map(|part| self.rules.size(part.rows.len(), part.tokens(), length));
        sizes.fold(Size::default(), |sum, size| sum + size)
    }

    /// A session that panicked has lost one inference; its thread, queue and other callers must not go with it.
    pub(crate) fn infer(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, ScheduleError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.session.run(batch)));
        let outputs = outcome.map_err(|_| {
            tracing::error!(model = &*self.model, "the session panicked during an inference");
            ScheduleError::Panicked { model: self.model.to_string() }
        })?;
        Ok(outputs?)
    }

    /// The outputs of each part. Views where rows have the length of the batch, copies where padding is cut off.
    fn apart(
        &self,
        outputs: Vec<NamedTensor>,
        parts: &[Part],
        length: usize,
    ) -> Result<Vec<Vec<NamedTensor>>, ScheduleError> {
        if let [_] = parts {
            return Ok(vec![outputs]);
        }
        let rows: Vec<usize> = parts.iter().map(|part| part.rows.len()).collect();
        let misfit = || ScheduleError::Outputs {
            model: self.model.to_string(),
            reason: format!("one does not have the {} rows of its batch", rows.iter().sum::<usize>()),
        };
        let mut separate = split(&outputs, &rows).ok_or_else(misfit)?;
        let Some(ragged) = &self.rules.ragged else { return Ok(separate) };
        for (own, part) in separate.iter_mut().zip(parts).filter(|(_, part)| part.job.shape.length != length) {
            for (output, _) in
                own.iter_mut().zip(&self.ragged_outputs.outputs).filter(|(_, known)| **known == Known::Ragged)
            {
                let mut shape = output.tensor.shape().to_vec();
                shape[ragged.axis] = part.job.shape.length;
                output.tensor = resized(&output.tensor, &shape, 0.0).map_err(BackendError::from)?;
            }
        }
        Ok(separate)
    }

    fn learn(&mut self, outputs: &[NamedTensor], length: usize) {
        let Some(ragged) = &self.rules.ragged else { return };
        let declared = &self.session.info().signature.outputs;
        let follows = |output: &NamedTensor| {
            let axis =
                declared.iter().find(|spec| spec.name == output.name).and_then(|spec| spec.shape.get(ragged.axis));
            ragged.axis > 0 && axis == Some(&Axis::Free) && output.tensor.shape().get(ragged.axis) == Some(&length)
        };
        let follows: Vec<bool> = outputs.iter().map(follows).collect();
        self.ragged_outputs.learn(&follows, length);
    }
}

impl RaggedOutputs {
    fn is_known(&self) -> bool {
        !self.outputs.is_empty() && self.outputs.iter().all(|known| !matches!(known, Known::AsLongAt(_)))
    }

    /// `follows` says of each output whether it was as long as the inputs.
    fn learn(&mut self, follows: &[bool], length: usize) {
        if self.outputs.len() != follows.len() {
            let first = |&follows: &bool| if follows { Known::AsLongAt(length) } else { Known::Fixed };
            self.outputs = follows.iter().map(first).collect();
            return;
        }
        for (known, &follows) in self.outputs.iter_mut().zip(follows) {
            *known = match *known {
                _ if !follows => Known::Fixed,
                Known::AsLongAt(seen) if seen != length => Known::Ragged,
                other => other,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_known_to_be_ragged_after_two_lengths_and_never_again_once_it_differed() {
        let mut outputs = RaggedOutputs::default();
        assert!(!outputs.is_known());
        outputs.learn(&[true, false], 16);
        outputs.learn(&[true, false], 16);
        assert!(!outputs.is_known(), "one length tells nothing of the first output");
        outputs.learn(&[true, false], 20);
        assert!(outputs.is_known());
        assert!(outputs.outputs == [Known::Ragged, Known::Fixed]);
        outputs.learn(&[false, false], 24);
        assert!(outputs.outputs == [Known::Fixed, Known::Fixed]);
    }

    #[test]
    fn an_output_that_only_happens_to_be_as_long_is_never_cut() {
        let mut outputs = RaggedOutputs::default();
        // Three classes, and a row of three tokens: nothing is concluded.
        outputs.learn(&[true], 3);
        outputs.learn(&[false], 9);
        assert!(outputs.is_known());
        assert!(outputs.outputs == [Known::Fixed]);
    }
}
