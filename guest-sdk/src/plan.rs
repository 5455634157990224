//! How rows of different lengths are cut into batches that waste little padding.

/// Cuts rows of these lengths into batches of row numbers.
///
/// Rows are sorted by length (rows of one length keep their order) and taken in turn while *rows × longest row* stays within
/// `max_batch_tokens`; that product is what a padded batch costs. A row that is over the limit alone is a batch of one: to
/// refuse it is the caller's decision.
///
/// ```
/// assert_eq!(wisp_guest::plan::batches(&[3, 9, 4, 3], 9), vec![vec![0, 3], vec![2], vec![1]]);
/// ```
#[must_use]
pub fn batches(lengths: &[u32], max_batch_tokens: u32) -> Vec<Vec<u32>> {
    let mut rows: Vec<(u32, u32)> = (0..).zip(lengths.iter().copied()).collect();
    rows.sort_by_key(|&(_, length)| length);
    let mut batches: Vec<Vec<u32>> = Vec::new();
    for (row, length) in rows {
        // In ascending order the newest row is the longest of its batch.
        let fits = |batch: &&mut Vec<u32>| (batch.len() as u64 + 1) * u64::from(length) <= u64::from(max_batch_tokens);
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.push(row),
            None => batches.push(vec![row]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_everything_together_when_it_fits() {
        assert_eq!(batches(&[4, 4, 4, 4], 16), vec![vec![0, 1, 2, 3]]);
    }

    #[test]
    fn counts_padding_against_the_limit() {
        assert_eq!(batches(&[1, 1, 8], 16), vec![vec![0, 1], vec![2]]);
    }

    #[test]
    fn gives_a_row_over_the_limit_a_batch_of_its_own() {
        assert_eq!(batches(&[2, 100, 2], 4), vec![vec![0, 2], vec![1]]);
    }

    #[test]
    fn has_no_batches_for_no_rows() {
        assert!(batches(&[], 16).is_empty());
    }

    #[test]
    fn survives_lengths_whose_product_overflows_32_bits() {
        assert_eq!(batches(&[u32::MAX, u32::MAX], u32::MAX), vec![vec![0], vec![1]]);
    }

    proptest! {
        #[test]
        fn carries_each_row_exactly_once_within_the_limit(
            lengths in proptest::collection::vec(0_u32..300, 0..80),
            max_batch_tokens in 0_u32..2048,
        ) {
            let batches = batches(&lengths, max_batch_tokens);
            let mut rows: Vec<u32> = batches.iter().flatten().copied().collect();
            rows.sort_unstable();
            prop_assert!(rows.iter().copied().eq(0..u32::try_from(lengths.len()).expect("under 80")));
            for batch in &batches {
                let longest = batch.iter().map(|&row| lengths[row as usize]).max().expect("no batch is empty");
                prop_assert!(batch.len() == 1 || batch.len() as u64 * u64::from(longest) <= u64::from(max_batch_tokens));
            }
        }

        #[test]
        fn never_opens_a_batch_while_the_next_row_fits(
            lengths in proptest::collection::vec(1_u32..50, 1..40),
            max_batch_tokens in 1_u32..400,
        ) {
            let batches = batches(&lengths, max_batch_tokens);
            for pair in batches.windows(2) {
                let next = lengths[pair[1][0] as usize];
                prop_assert!((pair[0].len() as u64 + 1) * u64::from(next) > u64::from(max_batch_tokens));
            }
        }
    }
}
