//! Which tokens take part, and in which order they are packed: rows of one length lie next to each other.
//!
//! Padding is never computed: masked tokens are left out before the first layer, so a row's result cannot depend on how
//! far it was padded, and attention needs no mask.

use std::ops::Range;

/// How the tokens of a row are numbered for the table of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// By their place in the row as the caller gave it, from 0.
    FromZero,
    /// From `id + 1` over the tokens that are not the padding token; that one has number `id`, wherever it stands. What
    /// `create_position_ids_from_input_ids` of transformers does.
    PastPadding {
        /// Id of the padding token.
        id: usize,
    },
}

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
    /// For each packed token, its number for the table of positions.
    pub(super) positions: Vec<u32>,
    /// Groups by ascending length; rows without any token are in none.
    pub(super) groups: Vec<Group>,
}

impl Numbering {
    /// The number of a row's first token.
    pub(super) fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::PastPadding { id } => id.saturating_add(1),
        }
    }

    /// The number of each token of a row.
    fn of_row(self, ids: &[i64]) -> Vec<usize> {
        let Self::PastPadding { id: padding } = self else { return (0..ids.len()).collect() };
        let mut last = padding;
        let number = |&id: &i64| match usize::try_from(id) == Ok(padding) {
            true => padding,
            false => {
                last += 1;
                last
            }
        };
        ids.iter().map(number).collect()
    }
}

impl PackedRows {
    /// Rows of `[rows, length]` arrays, without the tokens whose mask is 0.
    pub(super) fn of_padded(ids: &[i64], mask: &[i64], length: usize, numbering: Numbering) -> Self {
        let rows = ids.chunks_exact(length).zip(mask.chunks_exact(length)).enumerate().map(|(row, (ids, mask))| {
            let tokens = numbering.of_row(ids).into_iter().zip(mask).enumerate().filter(|(_, (_, kept))| **kept != 0);
            tokens.map(|(place, (number, _))| (row * length + place, number)).collect()
        });
        Self::pack(rows.collect())
    }

    /// Rows that are packed already: row `i` is `offsets[i]..offsets[i + 1]` of `ids`.
    pub(super) fn of_packed(ids: &[i64], offsets: &[usize], numbering: Numbering) -> Self {
        let rows = offsets.windows(2).map(|pair| {
            let range = pair[0]..pair[1];
            range.clone().zip(numbering.of_row(&ids[range])).collect()
        });
        Self::pack(rows.collect())
    }

    /// The caller's row numbers, in packed order; rows without any token are left out.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flat_map(|group| group.rows.iter().copied())
    }

    /// The packed index of each row's first token, in packed order.
    pub(super) fn starts(&self) -> Vec<u32> {
        let starts = self.groups.iter().flat_map(|group| group.tokens.clone().step_by(group.length));
        starts.map(index).collect()
    }

    fn pack(rows: Vec<Vec<(usize, usize)>>) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row].is_empty()).collect();
        order.sort_by_key(|&row| rows[row].len());

        let mut packed = Self { sources: Vec::new(), positions: Vec::new(), groups: Vec::new() };
        for same_length in order.chunk_by(|&a, &b| rows[a].len() == rows[b].len()) {
            let start = packed.sources.len();
            for &(source, position) in same_length.iter().flat_map(|&row| &rows[row]) {
                packed.sources.push(source);
                packed.positions.push(index(position));
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

/// An index as the tables take it. More tokens than that would need 32 GiB of mask, and no table is as long.
fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_ZERO: Numbering = Numbering::FromZero;

    #[test]
    fn padding_is_left_out_and_equal_lengths_are_grouped() {
        let mask = [1, 1, 1, 0, /* row 1 */ 1, 0, 0, 0, /* row 2 */ 1, 1, 1, 0];
        let packed = PackedRows::of_padded(&[9; 12], &mask, 4, FROM_ZERO);
        assert_eq!(packed.sources, [4, 0, 1, 2, 8, 9, 10]);
        assert_eq!(packed.positions, [0, 0, 1, 2, 0, 1, 2]);
        assert_eq!(packed.groups[0], Group { length: 1, rows: vec![1], tokens: 0..1 });
        assert_eq!(packed.groups[1], Group { length: 3, rows: vec![0, 2], tokens: 1..7 });
    }

    #[test]
    fn a_hole_in_the_mask_keeps_the_positions_of_the_others() {
        let packed = PackedRows::of_padded(&[9; 3], &[1, 0, 1], 3, FROM_ZERO);
        assert_eq!((packed.sources, packed.positions), (vec![0, 2], vec![0, 2]));
    }

    #[test]
    fn a_row_that_is_masked_out_is_in_no_group() {
        let packed = PackedRows::of_padded(&[9; 4], &[0, 0, 1, 1], 2, FROM_ZERO);
        assert_eq!(packed.groups.len(), 1);
        assert_eq!(packed.groups[0].rows, [1]);
    }

    #[test]
    fn packed_rows_count_positions_from_their_own_start() {
        let packed = PackedRows::of_packed(&[9; 5], &[0, 2, 3, 5], FROM_ZERO);
        assert_eq!(packed.sources, [2, 0, 1, 3, 4]);
        assert_eq!(packed.positions, [0, 0, 1, 0, 1]);
        assert_eq!(packed.groups[1].rows, [0, 2]);
    }

    #[test]
    fn numbers_past_padding_skip_the_padding_token() {
        let numbering = Numbering::PastPadding { id: 1 };
        let packed = PackedRows::of_padded(&[1, 7, 7, 1, 7], &[0, 1, 1, 1, 1], 5, numbering);
        assert_eq!(packed.positions, [2, 3, 1, 4]);
        let packed = PackedRows::of_packed(&[7, 8, -3, 9, 9], &[0, 3, 5], numbering);
        assert_eq!(packed.positions, [2, 3, 2, 3, 4]);
    }

    #[test]
    fn rows_start_where_the_one_before_ends() {
        let packed = PackedRows::of_packed(&[9; 5], &[0, 2, 3, 5], FROM_ZERO);
        assert_eq!(packed.starts(), [0, 1, 3]);
        assert_eq!(packed.order().collect::<Vec<_>>(), [1, 0, 2]);
    }
}
