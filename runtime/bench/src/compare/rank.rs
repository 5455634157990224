//! Two samples against each other by rank: no outlier decides, and nothing is assumed of their distribution.

/// The normal quantile of a two-sided test at 1 %.
const CRITICAL_Z: f64 = 2.576;

/// Whether two samples come from different places. Source: Mann and Whitney, "On a test of whether one of two random variables is
/// stochastically larger than the other" (1947), with the normal approximation and the usual correction for ties.
pub(super) fn is_different(a: &[f64], b: &[f64]) -> bool {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let mut all: Vec<(f64, bool)> = a.iter().map(|&value| (value, true)).collect();
    all.extend(b.iter().map(|&value| (value, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank_sum, mut ties, mut start) = (0.0, 0.0, 0);
    while start < all.len() {
        let end = start + all[start..].iter().take_while(|(value, _)| *value == all[start].0).count();
        let count = (end - start) as f64;
        // Ranks from start + 1 to end, and what ties have in common is their mean.
        let rank = (start + 1 + end) as f64 / 2.0;
        rank_sum += rank * all[start..end].iter().filter(|(_, is_first)| *is_first).count() as f64;
        ties += count * count * count - count;
        start = end;
    }
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    // Without variance every value is the same.
    variance > 0.0 && (u - n * m / 2.0).abs() / variance.sqrt() > CRITICAL_Z
}

/// How much larger `b` is than `a`, as a share: the median of all ratios. Source: Hodges and Lehmann, "Estimates of location based
/// on rank tests" (1963), on logarithms.
pub(super) fn shift(a: &[f64], b: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = a.iter().filter(|&&x| x > 0.0).flat_map(|x| b.iter().map(move |y| y / x)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).map_or(0.0, |ratio| ratio - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_agrees_with_tables() {
        // U = 0 of 5 and 5: z = 2.61, p = 0.009.
        assert!(is_different(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]));
        // U = 1: z = 2.40.
        assert!(!is_different(&[1.0, 2.0, 3.0, 4.0, 6.0], &[5.0, 7.0, 8.0, 9.0, 10.0]));
        assert!(!is_different(&[1.0; 8], &[1.0; 8]));
        assert!(!is_different(&[], &[]));
    }

    #[test]
    fn the_shift_is_the_usual_ratio_whatever_one_window_says() {
        let shift = shift(&[100.0, 101.0, 99.0, 5000.0, 100.0], &[110.0, 111.0, 109.0, 110.0, 1.0]);
        assert!((shift - 0.1).abs() < 0.02, "{shift}");
    }
}
