//! How far two tensors are from each other.

use half::{bf16, f16};
use wisp_core::{DataType, Tensor};
use wisp_model_store::Tolerance;

/// The distance of an answer from the one that is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    /// Cosine of the two; NaN where one of them holds a value that is not finite.
    pub(crate) cosine: f64,
    /// Largest difference of two elements.
    pub(crate) max_abs_error: f64,
    /// The same, relative to the largest element of the right answer where that is above 1.
    pub(crate) relative_error: f64,
}

impl Difference {
    /// Whether it is within a tolerance, the error taken relative to the answer: hidden states are not normalised.
    pub(crate) fn is_within(self, tolerance: Tolerance) -> bool {
        // Written so that NaN is never within anything.
        self.cosine >= tolerance.min_cosine && self.relative_error <= tolerance.max_abs_error
    }
}

/// Compares two tensors of one shape; tensors of different shapes are infinitely far apart.
pub(crate) fn difference(expected: &Tensor, actual: &Tensor) -> Difference {
    if expected.shape() != actual.shape() {
        return Difference { cosine: f64::NAN, max_abs_error: f64::INFINITY, relative_error: f64::INFINITY };
    }
    difference_of(&numbers(expected), &numbers(actual))
}

/// Compares two vectors of one length.
pub(crate) fn difference_of(expected: &[f64], actual: &[f64]) -> Difference {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let lengths = dot(expected, expected).sqrt() * dot(actual, actual).sqrt();
    let max_abs_error = expected.iter().zip(actual).map(|(x, y)| (x - y).abs()).fold(0.0, greater);
    let scale = expected.iter().map(|value| value.abs()).fold(1.0, greater);
    let cosine = match lengths {
        // Two zero vectors are the same; a zero beside anything else is not.
        0.0 if max_abs_error == 0.0 => 1.0,
        0.0 => 0.0,
        _ => dot(expected, actual) / lengths,
    };
    Difference { cosine, max_abs_error, relative_error: max_abs_error / scale }
}

/// The greater of two numbers, where NaN is greater than all: `f64::max` would drop it.
fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The elements of a tensor of any type.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    fn collect<T: wisp_core::Element>(tensor: &Tensor, number: impl Fn(T) -> f64) -> Vec<f64> {
        // The type was matched on: the view cannot be of another one.
        tensor.view::<T>().map_or_else(|_| Vec::new(), |values| values.iter().map(|&value| number(value)).collect())
    }
    match tensor.data_type() {
        DataType::F16 => collect::<f16>(tensor, f64::from),
        DataType::Bf16 => collect::<bf16>(tensor, f64::from),
        DataType::F32 => collect::<f32>(tensor, f64::from),
        DataType::F64 => collect::<f64>(tensor, |value| value),
        DataType::U8 => collect::<u8>(tensor, f64::from),
        DataType::I32 => collect::<i32>(tensor, f64::from),
        DataType::I64 => collect::<i64>(tensor, |value| value as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Tolerance = Tolerance { min_cosine: 0.99999, max_abs_error: 1e-4 };

    #[test]
    fn equal_answers_are_within_and_others_are_not() {
        assert!(difference_of(&[1.0, 2.0], &[1.0, 2.0]).is_within(STRICT));
        assert!(difference_of(&[0.0, 0.0], &[0.0, 0.0]).is_within(STRICT));
        assert!(!difference_of(&[1.0, 2.0], &[1.0, 2.1]).is_within(STRICT));
        assert!(!difference_of(&[0.0, 0.0], &[0.0, 1e-3]).is_within(STRICT));
    }

    #[test]
    fn large_values_are_compared_relative_to_themselves() {
        assert!(difference_of(&[1000.0, 5.0], &[1000.01, 5.0]).is_within(STRICT));
        assert!(!difference_of(&[1.0, 0.5], &[1.01, 0.5]).is_within(STRICT));
    }

    #[test]
    fn what_is_not_a_number_is_within_nothing() {
        let all = Tolerance { min_cosine: 0.0, max_abs_error: f64::INFINITY };
        for (a, b) in [([1.0, f64::NAN], [1.0, 2.0]), ([1.0, 2.0], [f64::NAN, 2.0]), ([1.0, 2.0], [1.0, f64::INFINITY])]
        {
            assert!(!difference_of(&a, &b).is_within(all), "{a:?} {b:?}");
        }
    }

    #[test]
    fn every_type_is_read() {
        for data_type in DataType::ALL {
            let tensor = Tensor::new(data_type, &[2], data_type.encode(3.0).repeat(2).into()).expect("fits");
            assert_eq!(numbers(&tensor), [3.0, 3.0], "{data_type}");
        }
    }
}
