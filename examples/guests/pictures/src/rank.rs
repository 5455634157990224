//! The best among the scores of a classifier.

/// The `count` highest scores with their indices, the highest first; among equals the lower index.
pub fn best<T: Copy + PartialOrd>(scores: &[T], count: usize) -> Vec<(usize, T)> {
    let mut ranked: Vec<_> = scores.iter().copied().enumerate().collect();
    // The sort is stable. What has no order (NaN) stays where it is instead of ending the program.
    ranked.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
    ranked.truncate(count);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_come_first_and_equals_in_their_order() {
        assert_eq!(best(&[3_u8, 9, 1, 9], 3), [(1, 9), (3, 9), (0, 3)]);
        assert_eq!(best(&[0.25_f32, -1.0, 0.5], 5), [(2, 0.5), (0, 0.25), (1, -1.0)]);
        assert!(best::<u8>(&[], 5).is_empty());
    }
}
