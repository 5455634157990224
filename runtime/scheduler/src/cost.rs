//! What an inference costs: a model of the time in the session, fitted while it serves.
//!
//! The time of an encoder is a fixed part, a part for each token it computes (the projections), and a part for each pair of
//! tokens of a row (attention): `fixed + per_token · tokens + per_pair · Σ length²`. Least squares finds the three from what
//! inferences took, each weighted by its own size, so that short ones count as much as long ones; older ones fade.

use std::time::Duration;

/// How much of the past is kept at each observation.
const MEMORY: f64 = 0.99;

/// How firmly the first guess is held on to, in observations.
const PRIOR_WEIGHT: f64 = 0.05;

/// The same where nobody guessed, and the guess is made up from the first inferences.
const FAINT_PRIOR_WEIGHT: f64 = 0.001;

/// Inferences after which a prediction is believed that started from nothing: the first ones size buffers and pick kernels.
const BELIEVED_AFTER: u32 = 16;

/// Attention against projections in a small encoder of 384 dimensions: 4·h operations a pair, 24·h² a token.
const PAIRS_TO_TOKENS: f64 = 1.0 / (6.0 * 384.0);

/// The size of an inference, as its cost depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// Tokens that are computed.
    pub tokens: f64,
    /// Pairs of tokens of one row, over all rows.
    pub pairs: f64,
}

/// The fitted times, in microseconds. Knows nothing at first, and then predicts 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Of any inference.
    pub fixed_us: f64,
    /// Of each token.
    pub per_token_us: f64,
    /// Of each pair of tokens of one row.
    pub per_pair_us: f64,
}

/// Fits a [`Cost`] to what is observed.
#[derive(Clone, Debug)]
pub struct CostModel {
    /// Weighted sums of products: the normal equations.
    products: [[f64; 3]; 3],
    targets: [f64; 3],
    prior: Option<Cost>,
    fitted: Cost,
    learns: bool,
    observed: u32,
}

/// Predicted microseconds as a time; what is beyond a year is a year.
pub(crate) fn microseconds(us: f64) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Duration::try_from_secs_f64(us / 1e6).map_or(YEAR, |time| time.min(YEAR))
}

impl Size {
    /// Rows that are all computed to one length.
    #[must_use]
    pub fn padded(rows: usize, length: usize) -> Self {
        let (tokens, length) = ((rows * length) as f64, length as f64);
        Self { tokens, pairs: tokens * length }
    }

    fn features(self) -> [f64; 3] {
        [1.0, self.tokens, self.pairs]
    }
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, pairs: self.pairs + other.pairs }
    }
}

impl Cost {
    /// Guessed from two measurements: one row, and so many of the same length.
    #[must_use]
    pub fn guessed(length: usize, single: Duration, rows: usize, batch: Duration) -> Self {
        let [single_us, batch_us] = [single, batch].map(|time| time.as_secs_f64() * 1e6);
        let length = length.max(1) as f64;
        // A row of the batch costs this much; what the lone one costs beyond it is the fixed part.
        let per_row_us = if rows > 1 { ((batch_us - single_us) / (rows - 1) as f64).max(0.0) } else { single_us };
        let per_token_us = per_row_us.min(single_us) / (length * (1.0 + length * PAIRS_TO_TOKENS));
        let fixed_us = (single_us - per_row_us).max(0.0);
        Self { fixed_us, per_token_us, per_pair_us: per_token_us * PAIRS_TO_TOKENS }
    }

    /// Time of an inference in microseconds.
    #[must_use]
    pub fn of(&self, size: Size) -> f64 {
        self.fixed_us + self.beyond_fixed(size)
    }

    /// What it adds to an inference that runs anyway, in microseconds.
    #[must_use]
    pub fn beyond_fixed(&self, size: Size) -> f64 {
        self.per_token_us * size.tokens + self.per_pair_us * size.pairs
    }

    fn coefficients(self) -> [f64; 3] {
        [self.fixed_us, self.per_token_us, self.per_pair_us]
    }
}

impl CostModel {
    /// Starts from a guess, or from nothing.
    #[must_use]
    pub fn new(prior: Option<Cost>) -> Self {
        Self {
            products: [[0.0; 3]; 3],
            targets: [0.0; 3],
            prior,
            fitted: prior.unwrap_or_default(),
            learns: true,
            observed: 0,
        }
    }

    /// Holds on to what it is told: for tests in which time must decide nothing.
    #[cfg(test)]
    pub(crate) fn fixed(cost: Cost) -> Self {
        Self { learns: false, ..Self::new(Some(cost)) }
    }

    /// What is known now.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.fitted
    }

    /// Whether requests may be refused for what is predicted: somebody guessed, or enough was seen.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.prior.is_some() || self.observed >= BELIEVED_AFTER
    }

    /// Learns from an inference that took so long.
    pub fn observe(&mut self, size: Size, took: Duration) {
        let took_us = took.as_secs_f64() * 1e6;
        if !self.learns || took_us <= 0.0 || !(size.tokens.is_finite() && size.pairs.is_finite()) {
            return;
        }
        self.observed = self.observed.saturating_add(1);
        // The weight makes errors relative. What took far longer than it should have was disturbed, and counts for less.
        let weight = took_us.max(self.fitted.of(size)).powi(-2);
        let features = size.features();
        for (row, &feature) in features.iter().enumerate() {
            for (column, &other) in features.iter().enumerate() {
                self.products[row][column] = MEMORY * self.products[row][column] + weight * feature * other;
            }
            self.targets[row] = MEMORY * self.targets[row] + weight * feature * took_us;
        }
        self.fitted = self.fit(size);
    }

    fn fit(&self, latest: Size) -> Cost {
        let (mut products, mut targets) = (self.products, self.targets);
        let (prior, prior_weight) = match self.prior {
            Some(guess) => (guess, PRIOR_WEIGHT),
            None => (self.spread(latest), FAINT_PRIOR_WEIGHT),
        };
        for (index, &guess) in prior.coefficients().iter().enumerate() {
            let guess = guess.max(1e-6);
            products[index][index] += prior_weight / (guess * guess);
            targets[index] += prior_weight / guess;
        }
        let [fixed_us, per_token_us, per_pair_us] = least_squares_without_negatives(&products, &targets);
        Cost { fixed_us, per_token_us, per_pair_us }
    }

    /// Without a guess: the time of the latest inference, half of it fixed.
    fn spread(&self, latest: Size) -> Cost {
        let weight = self.products[0][0].max(f64::MIN_POSITIVE);
        let mean_us = self.targets[0] / weight;
        let per_token_us = mean_us / 2.0 / latest.tokens.max(1.0);
        Cost { fixed_us: mean_us / 2.0, per_token_us, per_pair_us: per_token_us * PAIRS_TO_TOKENS }
    }
}

/// The best coefficients of which none is negative: the best over all choices of those that are zero.
fn least_squares_without_negatives(products: &[[f64; 3]; 3], targets: &[f64; 3]) -> [f64; 3] {
    let mut best = ([0.0; 3], f64::INFINITY);
    for chosen in 1_u8..8 {
        let mut system = *products;
        let mut right = *targets;
        for index in (0..3).filter(|index| chosen & (1 << index) == 0) {
            system[index] = [0.0; 3];
            system.iter_mut().for_each(|row| row[index] = 0.0);
            system[index][index] = 1.0;
            right[index] = 0.0;
        }
        let Some(solution) = solve(system, right) else { continue };
        if solution.iter().any(|&value| value < 0.0 || !value.is_finite()) {
            continue;
        }
        let loss = loss(products, targets, &solution);
        if loss < best.1 {
            best = (solution, loss);
        }
    }
    best.0
}

/// `xᵀ A x − 2 bᵀ x`: the squared error up to a constant.
fn loss(products: &[[f64; 3]; 3], targets: &[f64; 3], solution: &[f64; 3]) -> f64 {
    let quadratic: f64 = (0..3)
        .map(|row| solution[row] * (0..3).map(|column| products[row][column] * solution[column]).sum::<f64>())
        .sum();
    quadratic - 2.0 * (0..3).map(|index| targets[index] * solution[index]).sum::<f64>()
}

/// Cramer's rule on scaled unknowns: the coefficients differ by many orders of magnitude.
fn solve(mut system: [[f64; 3]; 3], mut right: [f64; 3]) -> Option<[f64; 3]> {
    let scale = [0, 1, 2].map(|index| system[index][index].abs().sqrt());
    if scale.iter().any(|&scale| scale <= 0.0 || !scale.is_finite()) {
        return None;
    }
    for row in 0..3 {
        for column in 0..3 {
            system[row][column] /= scale[row] * scale[column];
        }
        right[row] /= scale[row];
    }
    let all = determinant(&system);
    if all.abs() < 1e-12 {
        return None;
    }
    let unknown = |index: usize| {
        let mut replaced = system;
        for row in 0..3 {
            replaced[row][index] = right[row];
        }
        determinant(&replaced) / all / scale[index]
    };
    Some([unknown(0), unknown(1), unknown(2)])
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taught(truth: Cost, shapes: &[(usize, usize)], prior: Option<Cost>) -> CostModel {
        let mut model = CostModel::new(prior);
        for round in 0..40 {
            let (rows, length) = shapes[round % shapes.len()];
            let size = Size::padded(rows, length);
            model.observe(size, microseconds(truth.of(size)));
        }
        model
    }

    const TRUTH: Cost = Cost { fixed_us: 2500.0, per_token_us: 130.0, per_pair_us: 0.05 };

    fn is_close(predicted: f64, actual: f64, share: f64) -> bool {
        (predicted - actual).abs() <= share * actual
    }

    #[test]
    fn knows_nothing_at_first_and_predicts_nothing() {
        assert!(CostModel::new(None).cost().of(Size::padded(32, 16)).abs() < f64::EPSILON);
    }

    #[test]
    fn a_prediction_beyond_all_measure_is_still_a_time() {
        assert_eq!(microseconds(1500.0), Duration::from_micros(1500));
        for us in [f64::MAX, f64::INFINITY, f64::NAN] {
            assert_eq!(microseconds(us).as_secs(), 365 * 24 * 3600);
        }
    }

    #[test]
    fn one_slow_start_is_no_reason_to_refuse_anybody() {
        let mut model = CostModel::new(None);
        for _ in 0..BELIEVED_AFTER {
            assert!(!model.is_believed());
            model.observe(Size::padded(1, 16), microseconds(5000.0));
        }
        assert!(model.is_believed());
        assert!(CostModel::new(Some(TRUTH)).is_believed(), "measured when it was proven");
    }

    #[test]
    fn finds_what_time_depends_on_from_a_few_shapes() {
        let model = taught(TRUTH, &[(1, 16), (8, 16), (1, 128), (4, 60)], None);
        for (rows, length) in [(1, 8), (32, 16), (16, 64), (4, 256)] {
            let size = Size::padded(rows, length);
            assert!(is_close(model.cost().of(size), TRUTH.of(size), 0.1), "{rows} × {length}: {:?}", model.cost());
        }
    }

    #[test]
    fn a_guess_helps_where_nothing_was_seen() {
        let guess = Cost::guessed(
            16,
            microseconds(TRUTH.of(Size::padded(1, 16))),
            8,
            microseconds(TRUTH.of(Size::padded(8, 16))),
        );
        assert!(is_close(guess.of(Size::padded(8, 16)), TRUTH.of(Size::padded(8, 16)), 0.02), "{guess:?}");
        assert!(is_close(guess.of(Size::padded(1, 16)), TRUTH.of(Size::padded(1, 16)), 0.02), "{guess:?}");
        // Only lone short rows were seen; the guess still tells what more of them would cost.
        let model = taught(TRUTH, &[(1, 16)], Some(guess));
        let size = Size::padded(32, 16);
        assert!(is_close(model.cost().of(size), TRUTH.of(size), 0.25), "{:?}", model.cost());
    }

    #[test]
    fn follows_a_machine_that_becomes_slower() {
        let mut model = taught(TRUTH, &[(1, 16), (8, 16), (1, 128)], None);
        for round in 0..600 {
            let size = Size::padded([1, 8, 1][round % 3], [16, 16, 128][round % 3]);
            model.observe(size, microseconds(3.0 * TRUTH.of(size)));
        }
        let size = Size::padded(8, 16);
        assert!(is_close(model.cost().of(size), 3.0 * TRUTH.of(size), 0.1), "{:?}", model.cost());
    }

    #[test]
    fn one_disturbed_inference_changes_little() {
        let mut model = taught(TRUTH, &[(1, 16), (8, 16), (1, 128)], None);
        let size = Size::padded(8, 16);
        model.observe(size, microseconds(20.0 * TRUTH.of(size)));
        assert!(is_close(model.cost().of(size), TRUTH.of(size), 0.25), "{:?}", model.cost());
    }

    proptest! {
        #[test]
        fn predictions_are_never_negative_nor_endless(
            observed in proptest::collection::vec((1_usize..65, 1_usize..257, 1_u64..10_000_000), 0..50),
            asked in (1_usize..65, 1_usize..257),
        ) {
            let mut model = CostModel::new(None);
            for (rows, length, us) in observed {
                model.observe(Size::padded(rows, length), Duration::from_micros(us));
            }
            let predicted = model.cost().of(Size::padded(asked.0, asked.1));
            prop_assert!(predicted.is_finite() && predicted >= 0.0, "{:?}", model.cost());
        }
    }
}
