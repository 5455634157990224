//! How close answers must come to each other, and to what they should be.

use wisp_core::Precision;
use wisp_testing::{RealModel, cosine};

/// What a guest printed on a host.
pub(crate) struct Answer<T> {
    host: &'static str,
    /// The arithmetic that the model ran in.
    precision: Precision,
    values: Vec<T>,
}

impl<T> Answer<T> {
    pub(crate) fn new(host: &'static str, precision: Precision, values: Vec<T>) -> Self {
        Self { host, precision, values }
    }
}

/// How far numbers may be apart that two hosts computed in the same arithmetic. The library is the same, the number of threads is
/// not, and it orders sums. None was seen to differ.
fn agreement(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        // Half a step of bf16 below 1/2: all numbers here are smaller.
        Precision::Bf16 | Precision::F16 | Precision::Int8 => 1e-3,
    }
}

/// How far a score may be from the one in double precision.
fn score_tolerance(precision: Precision) -> f64 {
    match precision {
        // Guests print six digits.
        Precision::F32 => 2e-6,
        // 6.4e-4 was seen on the one that reaches 0.31.
        Precision::Bf16 | Precision::F16 | Precision::Int8 => 5e-3,
    }
}

/// Vectors of a golden text are what the model's manifest asks of their arithmetic.
pub(crate) fn check_golden(answers: &[Answer<f32>], real: &RealModel, text: usize) {
    let golden = real.golden.vector(text);
    for Answer { host, precision, values } in answers {
        let tolerance = real.model.manifest.tolerance(*precision).expect("the manifest has all of them");
        let (cosine, error) = (cosine(values, golden), largest_difference(values, golden));
        assert!(cosine >= tolerance.min_cosine, "text {text}, {host}, {precision}: cosine {cosine}");
        assert!(error <= tolerance.max_abs_error, "text {text}, {host}, {precision}: off by {error}");
    }
}

/// Answers in the same arithmetic are the same.
pub(crate) fn check_agreement(answers: &[Answer<f32>]) {
    for (index, one) in answers.iter().enumerate() {
        for other in answers[..index].iter().filter(|other| other.precision == one.precision) {
            let difference = largest_difference(&one.values, &other.values);
            let precision = one.precision;
            assert!(difference <= agreement(precision), "{}, {}, {precision}: {difference}", one.host, other.host);
        }
    }
}

/// The best classes are these, in this order, with these scores.
pub(crate) fn check_scores(answers: &[Answer<(usize, f32)>], expected: &[(usize, f64)]) {
    let of = |ranking: &[(usize, f32)]| ranking.iter().map(|(_, score)| *score).collect();
    for Answer { host, precision, values } in answers {
        assert_eq!(values.len(), 5, "{host}");
        for ((class, score), (expected_class, expected_score)) in values.iter().zip(expected) {
            assert_eq!(class, expected_class, "{host}: {values:?} instead of {expected:?}");
            let error = (f64::from(*score) - expected_score).abs();
            assert!(error <= score_tolerance(*precision), "{host}, {precision}: class {class} is off by {error}");
        }
    }
    let scores: Vec<_> = answers.iter().map(|one| Answer::new(one.host, one.precision, of(&one.values))).collect();
    check_agreement(&scores);
}

fn largest_difference(one: &[f32], other: &[f32]) -> f64 {
    assert_eq!(one.len(), other.len(), "vectors of different lengths");
    one.iter().zip(other).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}
