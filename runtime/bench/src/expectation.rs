//! Whether vectors are right: against those of the same texts, one at a time, in f32.

use std::collections::BTreeMap;

use wisp_core::Precision;

use crate::answer::Answer;

/// How close an f32 answer comes where the manifest names no tolerance: rounding alone is far below it.
const F32_MIN_COSINE: f64 = 0.9999;

/// The right vectors of a pool of texts, and how close each precision must come.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// One vector a text of the pool.
    pub vectors: Vec<Vec<f32>>,
    /// The smallest cosine that is right, by the precision that an answer says it was computed in.
    pub min_cosine: BTreeMap<Precision, f64>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every vector is right; the smallest cosine of them.
    Right(f64),
    /// At least one is not, and how.
    Wrong(String),
}

impl Expectation {
    /// Checks the vectors of an answer to the texts `indices` of the pool.
    #[must_use]
    pub fn check(&self, indices: &[usize], answer: &Answer) -> Verdict {
        if answer.vectors.len() != indices.len() {
            return Verdict::Wrong(format!("{} vectors for {} texts", answer.vectors.len(), indices.len()));
        }
        let precision = answer.placement.as_ref().and_then(|placement| placement.precision);
        let min_cosine = self.min_cosine(precision.unwrap_or_default());
        let mut smallest = 1.0_f64;
        for (&index, vector) in indices.iter().zip(&answer.vectors) {
            let Some(expected) = self.vectors.get(index) else {
                return Verdict::Wrong(format!("text {index} has no reference"));
            };
            if vector.len() != expected.len() {
                let (got, wanted) = (vector.len(), expected.len());
                return Verdict::Wrong(format!("text {index} of the pool: {got} dimensions, not {wanted}"));
            }
            let cosine = cosine(vector, expected);
            // Not a number is wrong as well.
            if cosine.is_nan() || cosine < min_cosine {
                return Verdict::Wrong(format!(
                    "text {index} of the pool: cosine {cosine:.6} to its reference, at least {min_cosine} is right"
                ));
            }
            smallest = smallest.min(cosine);
        }
        Verdict::Right(smallest)
    }

    fn min_cosine(&self, precision: Precision) -> f64 {
        self.min_cosine.get(&precision).copied().unwrap_or(F32_MIN_COSINE)
    }
}

/// Cosine of two vectors of one length.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut aa, mut bb) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    dot / (aa.sqrt() * bb.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::PlacementFacts;

    fn answer(vectors: &[[f32; 2]], precision: Option<Precision>) -> Answer {
        Answer {
            vectors: vectors.iter().map(|vector| vector.to_vec()).collect(),
            placement: Some(PlacementFacts { name: "m".to_owned(), precision }),
            ..Answer::default()
        }
    }

    fn expectation() -> Expectation {
        Expectation {
            vectors: vec![vec![1.0, 0.0], vec![0.0, 1.0]],
            min_cosine: BTreeMap::from([(Precision::F32, 0.99999), (Precision::Int8, 0.9)]),
        }
    }

    #[test]
    fn the_tolerance_is_that_of_the_precision_that_ran() {
        let near = [0.98, 0.2];
        let expectation = expectation();
        assert!(matches!(expectation.check(&[0], &answer(&[near], Some(Precision::Int8))), Verdict::Right(_)));
        assert!(matches!(expectation.check(&[0], &answer(&[near], Some(Precision::F32))), Verdict::Wrong(_)));
        // What is not known is held to the reference's own.
        assert!(matches!(expectation.check(&[0], &answer(&[near], None)), Verdict::Wrong(_)));
        assert!(matches!(expectation.check(&[0], &answer(&[near], Some(Precision::Bf16))), Verdict::Wrong(_)));
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let right = [[1.0, 0.0], [0.0, 1.0]];
        assert_eq!(expectation().check(&[0, 1], &answer(&right, None)), Verdict::Right(1.0));
        for (indices, vectors, message) in [
            (&[0, 1][..], &[[1.0, 0.0]][..], "1 vectors for 2 texts"),
            (&[1, 0], &right, "text 1 of the pool: cosine 0.0"),
            (&[0], &[[f32::NAN, 0.0]], "text 0 of the pool: cosine NaN"),
            (&[0], &[[0.0, 0.0]], "text 0 of the pool: cosine NaN"),
            (&[7], &[[1.0, 0.0]], "text 7 has no reference"),
        ] {
            match expectation().check(indices, &answer(vectors, None)) {
                Verdict::Wrong(reason) => assert!(reason.starts_with(message), "{reason}"),
                Verdict::Right(cosine) => panic!("{message}: {cosine}"),
            }
        }
        let long = Answer { vectors: vec![vec![1.0; 3]], ..Answer::default() };
        assert_eq!(
            expectation().check(&[0], &long),
            Verdict::Wrong("text 0 of the pool: 3 dimensions, not 2".to_owned())
        );
    }
}
