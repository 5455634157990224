//! What may be put into one inference: what the model has proven, and the bounds of a batch.

use std::time::Duration;

use wisp_core::{Layout, Ragged, StaticShape};

use crate::cost::{Cost, Size};

/// What a session may do with the rows of different requests.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRules {
    /// Rows may share an inference: proven, or everything runs as it came.
    pub shares_rows: bool,
    /// Rows may be filled up to the length of longer ones: proven, or only rows of one length meet.
    pub pads_rows: bool,
    /// The axis along which rows differ.
    pub ragged: Option<Ragged>,
    /// Rows of one inference.
    pub max_rows: usize,
    /// Rows times padded length of one inference.
    pub max_tokens: usize,
    /// Shapes that the session is compiled for; empty for free axes.
    pub static_shapes: Vec<StaticShape>,
    /// Time that an inference of several entries may take, as far as it can be told: what arrives meanwhile waits for it.
    pub max_batch: Duration,
    /// How long a worker waits for requests that are known to be on their way, counted from the arrival of the entry that
    /// waits longest. Zero starts at once.
    pub max_queue_delay: Duration,
    /// Whether the session leaves padding out of what it computes.
    pub is_packed: bool,
}

impl BatchRules {
    /// Time that a batch may take where nothing else is said: short beside what people notice, long beside the fixed cost of
    /// an inference.
    pub const MAX_BATCH: Duration = Duration::from_millis(50);

    /// Every entry is an inference of its own, as it came.
    #[must_use]
    pub fn unproven() -> Self {
        Self {
            shares_rows: false,
            pads_rows: false,
            ragged: None,
            max_rows: 1,
            max_tokens: usize::MAX,
            static_shapes: Vec::new(),
            max_batch: Self::MAX_BATCH,
            max_queue_delay: Duration::ZERO,
            is_packed: false,
        }
    }

    /// Whether a session whose layouts are these leaves padding out.
    #[must_use]
    pub fn is_packed(layouts: &[Layout]) -> bool {
        layouts.first() == Some(&Layout::Packed)
    }

    /// Whether an inference of this shape is within the bounds on size.
    pub(crate) fn fits(&self, rows: usize, length: usize) -> bool {
        let is_compiled = |shape: &StaticShape| rows <= shape.rows && (self.ragged.is_none() || length <= shape.length);
        rows <= self.max_rows
            && rows.saturating_mul(length) <= self.max_tokens
            && (self.static_shapes.is_empty() || self.static_shapes.iter().any(is_compiled))
    }

    /// What rows of this length cost in an inference that is computed to `padded_length`; `tokens` of them are no padding.
    pub(crate) fn size(&self, rows: usize, tokens: usize, padded_length: usize) -> Size {
        if self.is_packed && rows > 0 {
            let tokens = tokens as f64;
            return Size { tokens, pairs: tokens * tokens / rows as f64 };
        }
        Size::padded(rows, padded_length)
    }

    /// As many rows of one entry as one inference takes: all of them, or equal parts of them.
    pub(crate) fn rows_at_once(&self, rows: usize, tokens: usize, length: usize, cost: &Cost) -> usize {
        if !self.shares_rows || rows <= 1 {
            return rows;
        }
        let limit_us = self.max_batch.as_secs_f64() * 1e6;
        let is_possible = |part: usize| {
            let size = self.size(part, tokens.div_ceil(rows) * part, length);
            self.fits(part, length) && cost.of(size) <= limit_us
        };
        if is_possible(rows) {
            return rows;
        }
        // Both bounds grow with the rows, so the largest part is found by halving.
        let (mut possible, mut impossible) = (1, rows);
        while impossible - possible > 1 {
            let middle = usize::midpoint(possible, impossible);
            if is_possible(middle) { possible = middle } else { impossible = middle }
        }
        rows.div_ceil(rows.div_ceil(possible))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Everything is proven; bounds that no test meets by chance.
    pub(crate) fn proven() -> BatchRules {
        let pad_values = BTreeMap::from([("x".to_owned(), 0.0), ("mask".to_owned(), 0.0)]);
        BatchRules {
            shares_rows: true,
            pads_rows: true,
            ragged: Some(Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values }),
            max_rows: 64,
            max_tokens: 4096,
            max_batch: Duration::from_secs(3600),
            ..BatchRules::unproven()
        }
    }

    const COST: Cost = Cost { fixed_us: 2000.0, per_token_us: 100.0, per_pair_us: 0.0 };

    #[test]
    fn an_entry_that_is_too_large_is_cut_into_equal_parts() {
        let rules = proven();
        assert_eq!(rules.rows_at_once(64, 640, 10, &COST), 64);
        assert_eq!(rules.rows_at_once(65, 650, 10, &COST), 33, "64 rows at most");
        assert_eq!(rules.rows_at_once(20, 20 * 256, 256, &COST), 10, "4096 tokens are 16 rows of 256");
        let timed = BatchRules { max_batch: Duration::from_millis(10), ..proven() };
        assert_eq!(timed.rows_at_once(10, 200, 20, &COST), 4, "four rows of 20 take 10 ms, three parts do");
        assert_eq!(timed.rows_at_once(10, 5000, 500, &COST), 1, "one row is the least");
    }

    #[test]
    fn an_entry_of_a_model_whose_rows_are_not_proven_is_never_cut() {
        assert_eq!(BatchRules::unproven().rows_at_once(1000, 256_000, 256, &COST), 1000);
    }

    #[test]
    fn static_shapes_bound_rows_and_length_together() {
        let shapes = vec![StaticShape { rows: 1, length: 256 }, StaticShape { rows: 8, length: 32 }];
        let rules = BatchRules { static_shapes: shapes, ..proven() };
        assert!(rules.fits(8, 32) && rules.fits(1, 256));
        assert!(!rules.fits(2, 33) && !rules.fits(9, 1));
    }

    #[test]
    fn packed_rows_cost_what_they_hold_and_padded_ones_what_they_are_filled_up_to() {
        let packed = BatchRules { is_packed: true, ..proven() };
        assert_eq!(packed.size(2, 10, 100), Size { tokens: 10.0, pairs: 50.0 });
        assert_eq!(proven().size(2, 10, 100), Size { tokens: 200.0, pairs: 20_000.0 });
    }
}
