//! From what a model computes to scores that people read: activations, similarity, and the best of many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::classifier::ScoredLabel;

/// Turns logits into shares of 1: each is `exp(logit / temperature)`, divided by the sum of all.
///
/// A low temperature makes the highest stand out, a high one makes all alike; 1 is what classifiers are trained with. Logits of
/// any size are safe: the highest is taken away from all before.
///
/// # Panics
/// When `temperature` is not above 0.
pub fn softmax(logits: &mut [f32], temperature: f32) {
    assert!(temperature > 0.0, "a temperature is above 0");
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in &mut *logits {
        *logit = ((*logit - highest) / temperature).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|share| *share /= sum);
}

/// `1 / (1 + exp(-logit))`: how likely it is that one label holds, whatever the others do.
#[must_use]
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The cosine of the angle between two vectors; 0 where one of them has no length.
///
/// # Panics
/// When the vectors have different lengths.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one space have one length");
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// The `count` highest scores with their positions, the highest first; among equals the lower position. `None` gives all.
#[must_use]
pub fn best(scores: &[f32], count: Option<u32>) -> Vec<(usize, f32)> {
    let count = count.map_or(scores.len(), |count| scores.len().min(count as usize));
    // Whoever wants five of a thousand does not wait for all of them to be put in order.
    let mut ranked: BinaryHeap<Ranked> = scores.iter().copied().enumerate().map(Ranked::from).collect();
    (0..count)
        .map_while(|_| ranked.pop())
        .map(|Ranked { position: Reverse(position), score }| (position, score))
        .collect()
}

/// A score at its position, in the order of ranks.
struct Ranked {
    score: f32,
    position: Reverse<usize>,
}

impl From<(usize, f32)> for Ranked {
    fn from((position, score): (usize, f32)) -> Self {
        Self { score, position: Reverse(position) }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.position.cmp(&other.position))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// The labels of the [`best`] scores; a score beyond the names has an empty one.
#[must_use]
pub fn labelled<T: AsRef<str>>(names: &[T], scores: &[f32], count: Option<u32>) -> Vec<ScoredLabel> {
    let label = |(index, score): (usize, f32)| ScoredLabel {
        label: names.get(index).map(|name| name.as_ref().to_owned()).unwrap_or_default(),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        score,
    };
    best(scores, count).into_iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f32], expected: &[f32]) {
        let is_close = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(is_close, "{found:?} instead of {expected:?}");
    }

    #[test]
    fn softmax_gives_shares_of_one_whatever_the_size_of_the_logits() {
        let mut logits = [1.0, 2.0, 3.0];
        softmax(&mut logits, 1.0);
        assert_close(&logits, &[0.090_030_57, 0.244_728_47, 0.665_240_94]);
        let mut large = [1e30, -1e30, 1e30];
        softmax(&mut large, 1.0);
        assert_close(&large, &[0.5, 0.0, 0.5]);
        softmax(&mut [], 1.0);
    }

    #[test]
    fn a_lower_temperature_makes_the_highest_stand_out() {
        let (mut plain, mut sharp) = ([0.1, 0.3], [0.1, 0.3]);
        softmax(&mut plain, 1.0);
        softmax(&mut sharp, 0.05);
        assert_close(&sharp, &[0.017_986_21, 0.982_013_8]);
        assert!(sharp[1] > plain[1]);
    }

    #[test]
    fn sigmoid_is_a_half_at_zero_and_never_leaves_its_bounds() {
        assert_close(&[sigmoid(0.0), sigmoid(2.0), sigmoid(-2.0)], &[0.5, 0.880_797, 0.119_202_92]);
        assert_close(&[sigmoid(1e30), sigmoid(-1e30)], &[1.0, 0.0]);
    }

    #[test]
    fn cosine_knows_directions_alone() {
        assert_close(&[cosine(&[1.0, 0.0], &[7.0, 0.0]), cosine(&[1.0, 0.0], &[0.0, 2.0])], &[1.0, 0.0]);
        assert_close(&[cosine(&[1.0, 1.0], &[-2.0, -2.0]), cosine(&[0.0, 0.0], &[1.0, 0.0])], &[-1.0, 0.0]);
    }

    #[test]
    fn the_highest_come_first_and_equals_in_their_order() {
        assert_eq!(best(&[3.0, 9.0, 1.0, 9.0], Some(3)), [(1, 9.0), (3, 9.0), (0, 3.0)]);
        assert_eq!(best(&[0.25, -1.0, 0.5], None), [(2, 0.5), (0, 0.25), (1, -1.0)]);
        assert_eq!(best(&[1.0, 2.0], Some(5)).len(), 2);
        assert!(best(&[1.0], Some(0)).is_empty() && best(&[], Some(5)).is_empty());
    }

    #[test]
    fn a_class_without_a_name_has_an_empty_label() {
        let labels = labelled(&["cat"], &[0.1, 0.9], None);
        let seen: Vec<_> = labels.iter().map(|label| (label.label.as_str(), label.index)).collect();
        assert_eq!(seen, [("", 1), ("cat", 0)]);
    }
}
