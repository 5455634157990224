//! From the hidden states of a row to one vector: pooling and normalising.

use crate::Pooling;

/// Lower bound of a vector's length when it is normalised, as in sentence-transformers.
pub const NORM_EPSILON: f32 = 1e-12;

/// Reduces `states`, `[tokens, width]` row-major with at least one token, to `vector`, `[width]`, which starts as zeros.
pub fn pool(states: &[f32], pooling: Pooling, vector: &mut [f32]) {
    let width = vector.len();
    match pooling {
        Pooling::Cls => vector.copy_from_slice(&states[..width]),
        Pooling::Last => vector.copy_from_slice(&states[states.len() - width..]),
        Pooling::Mean => {
            for state in states.chunks_exact(width) {
                vector.iter_mut().zip(state).for_each(|(sum, value)| *sum += value);
            }
            let tokens = (states.len() / width) as f32;
            vector.iter_mut().for_each(|sum| *sum /= tokens);
        }
    }
}

/// `vector / max(‖vector‖₂, ε)`, with ε as [`NORM_EPSILON`].
pub fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(NORM_EPSILON);
    vector.iter_mut().for_each(|value| *value /= norm);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pooling_takes_its_tokens() {
        let states = [1.0, 2.0, 3.0, 4.0, 8.0, 0.0];
        for (pooling, expected) in
            [(Pooling::Mean, [4.0, 2.0]), (Pooling::Cls, [1.0, 2.0]), (Pooling::Last, [8.0, 0.0])]
        {
            let mut vector = [0.0; 2];
            pool(&states, pooling, &mut vector);
            assert_eq!(vector, expected, "{pooling:?}");
        }
    }

    #[test]
    fn a_normalised_vector_has_length_one_and_zero_stays_zero() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zero = [0.0; 2];
        normalize(&mut zero);
        assert_eq!(zero, [0.0; 2]);
    }
}
