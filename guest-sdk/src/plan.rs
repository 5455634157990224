//! How rows of different lengths are cut into batches that waste little padding.

/// Padding that a batch may have whatever its size, in tokens: about what one more inference costs beside its tokens.
pub const PADDING_TOKENS: u64 = 24;

/// A batch may have one token of padding for so many that are none, beyond [`PADDING_TOKENS`].
pub const TOKENS_FOR_PADDING: u64 = 8;

/// Cuts rows of these lengths into batches of row numbers.
///
/// Rows are sorted by length (rows of one length keep their order) and taken in turn while *rows × longest row* stays within
/// `max_batch_tokens`, and while what they are filled up with costs less than another inference would. A row that is over the
/// limit alone is a batch of one: to refuse it is the caller's decision.
///
/// ```
/// use wisp_guest::plan::batches;
///
/// assert_eq!(batches(&[3, 9, 4, 3], 9), vec![vec![0, 3], vec![2], vec![1]]);
/// assert_eq!(batches(&[8, 200, 8, 9], 4096), vec![vec![0, 2, 3], vec![1]]);
/// ```
#[must_use]
pub fn batches(lengths: &[u32], max_batch_tokens: u32) -> Vec<Vec<u32>> {
    batches_of(lengths, u32::MAX, max_batch_tokens)
}

/// As [`batches`], of at most `max_rows` rows each.
#[must_use]
pub fn batches_of(lengths: &[u32], max_rows: u32, max_batch_tokens: u32) -> Vec<Vec<u32>> {
    let mut rows: Vec<(u32, u32)> = (0..).zip(lengths.iter().copied()).collect();
    rows.sort_by_key(|&(_, length)| length);
    let mut batches: Vec<Vec<u32>> = Vec::new();
    let mut tokens = 0;
    for (row, length) in rows {
        let length = u64::from(length);
        // In ascending order the newest row is the longest of its batch.
        match batches
            .last_mut()
            .filter(|batch| batch.len() < max_rows as usize)
            .filter(|batch| is_worth_it(batch.len() as u64 + 1, length, tokens + length, max_batch_tokens))
        {
            Some(batch) => {
                batch.push(row);
                tokens += length;
            }
            None => {
                batches.push(vec![row]);
                tokens = length;
            }
        }
    }
    batches
}

/// Whether so many rows that are filled up to `longest`, and hold `tokens` without that, should be one batch.
fn is_worth_it(rows: u64, longest: u64, tokens: u64, max_batch_tokens: u32) -> bool {
    let padded = rows * longest;
    padded <= u64::from(max_batch_tokens) && padded - tokens <= PADDING_TOKENS + tokens / TOKENS_FOR_PADDING
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
    fn gives_no_batch_more_rows_than_are_granted() {
        assert_eq!(batches_of(&[4, 4, 4, 4, 4], 2, 4096), vec![vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(batches_of(&[4, 4], 1, 4096), vec![vec![0], vec![1]]);
    }

    #[test]
    fn counts_padding_against_the_limit() {
        assert_eq!(batches(&[1, 1, 8], 16), vec![vec![0, 1], vec![2]]);
    }

    #[test]
    fn does_not_fill_short_rows_up_to_long_ones() {
        assert_eq!(batches(&[8, 8, 8, 100], 4096), vec![vec![0, 1, 2], vec![3]]);
        assert_eq!(batches(&[10, 34, 10], 4096), vec![vec![0, 2], vec![1]], "48 tokens of padding are too many");
        assert_eq!(batches(&[10, 34], 4096), vec![vec![0, 1]], "24 are not");
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
                let tokens: u32 = pair[0].iter().map(|&row| lengths[row as usize]).sum();
                let (rows, tokens) = (pair[0].len() as u64 + 1, u64::from(tokens + next));
                prop_assert!(!is_worth_it(rows, u64::from(next), tokens, max_batch_tokens));
            }
        }
    }
}
