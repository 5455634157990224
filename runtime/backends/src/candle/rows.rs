//! Which tokens take part, and in which order they are packed: rows of one length lie next to each other.
//!
//! Padding is never computed: masked tokens are left out before the first layer, so a row's result cannot depend on how
//! far it was padded, and attention needs no mask.

use std::ops::Range;

/// Rows of one length, packed one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Tokens in each row.
    pub(super) length: usize,
    /// The caller's row numbers, in packed order.
    pub(super) rows: Vec<usize>,
    /// Where the group lies among the packed tokens.
    pub(super) tokens: Range<usize>,
}

/// The packed order of all tokens of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PackedRows {
    /// For each packed token, its index in the caller's flat array.
    pub(super) sources: Vec<usize>,
    /// For each packed token, its position in its row.
    pub(super) positions: Vec<u32>,
    /// Groups by ascending length; rows without any token are in none.
    pub(super) groups: Vec<Group>,
}

impl PackedRows {
    /// Rows of a `[rows, length]` array, without the tokens whose mask is 0.
    pub(super) fn of_padded(mask: &[i64], length: usize) -> Self {
        let rows = mask.chunks_exact(length).enumerate().map(|(row, mask)| {
            let kept = mask.iter().enumerate().filter(|(_, kept)| **kept != 0);
            kept.map(|(position, _)| (row * length + position, position)).collect()
        });
        Self::pack(rows.collect())
    }

    /// Rows that are packed already: row `i` is `offsets[i]..offsets[i + 1]`.
    pub(super) fn of_packed(offsets: &[usize]) -> Self {
        let rows = offsets.windows(2).map(|pair| (pair[0]..pair[1]).zip(0..).collect());
        Self::pack(rows.collect())
    }

    fn pack(rows: Vec<Vec<(usize, usize)>>) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row].is_empty()).collect();
        order.sort_by_key(|&row| rows[row].len());

        let mut packed = Self { sources: Vec::new(), positions: Vec::new(), groups: Vec::new() };
        for same_length in order.chunk_by(|&a, &b| rows[a].len() == rows[b].len()) {
            let start = packed.sources.len();
            for &(source, position) in same_length.iter().flat_map(|&row| &rows[row]) {
                packed.sources.push(source);
                // A row longer than u32 would need 32 GiB of mask.
                packed.positions.push(u32::try_from(position).unwrap_or(u32::MAX));
            }
            packed.groups.push(Group {
                length: rows[same_length[0]].len(),
                rows: same_length.to_vec(),
                tokens: start..packed.sources.len(),
            });
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_left_out_and_equal_lengths_are_grouped() {
        let mask = [1, 1, 1, 0, /* row 1 */ 1, 0, 0, 0, /* row 2 */ 1, 1, 1, 0];
        let packed = PackedRows::of_padded(&mask, 4);
        assert_eq!(packed.sources, [4, 0, 1, 2, 8, 9, 10]);
        assert_eq!(packed.positions, [0, 0, 1, 2, 0, 1, 2]);
        assert_eq!(packed.groups[0], Group { length: 1, rows: vec![1], tokens: 0..1 });
        assert_eq!(packed.groups[1], Group { length: 3, rows: vec![0, 2], tokens: 1..7 });
    }

    #[test]
    fn a_hole_in_the_mask_keeps_the_positions_of_the_others() {
        let packed = PackedRows::of_padded(&[1, 0, 1], 3);
        assert_eq!((packed.sources, packed.positions), (vec![0, 2], vec![0, 2]));
    }

    #[test]
    fn a_row_that_is_masked_out_is_in_no_group() {
        let packed = PackedRows::of_padded(&[0, 0, 1, 1], 2);
        assert_eq!(packed.groups.len(), 1);
        assert_eq!(packed.groups[0].rows, [1]);
    }

    #[test]
    fn packed_rows_count_positions_from_their_own_start() {
        let packed = PackedRows::of_packed(&[0, 2, 3, 5]);
        assert_eq!(packed.sources, [2, 0, 1, 3, 4]);
        assert_eq!(packed.positions, [0, 0, 1, 0, 1]);
        assert_eq!(packed.groups[1].rows, [0, 2]);
    }
}
