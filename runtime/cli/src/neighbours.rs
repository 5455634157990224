//! The most similar other text of each text.

/// For each vector, the index of the other vector with the largest cosine, and that cosine. `None` for a single vector.
///
/// Vectors of length zero are similar to nothing: their cosine counts as 0.
pub(crate) fn nearest(vectors: &[Vec<f32>]) -> Vec<Option<(usize, f32)>> {
    let norms: Vec<f32> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
    let cosine = |a: usize, b: usize| {
        let scale = norms[a] * norms[b];
        if scale > 0.0 { dot(&vectors[a], &vectors[b]) / scale } else { 0.0 }
    };
    let best = |index: usize| {
        let others = (0..vectors.len()).filter(|&other| other != index);
        others.map(|other| (other, cosine(index, other))).max_by(|a, b| a.1.total_cmp(&b.1))
    };
    (0..vectors.len()).map(best).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_the_one_with_the_largest_cosine() {
        let vectors = [vec![1.0, 0.0], vec![0.0, 3.0], vec![2.0, 0.2]];
        let nearest = nearest(&vectors);
        assert_eq!(nearest[0].map(|(index, _)| index), Some(2));
        assert_eq!(nearest[1].map(|(index, _)| index), Some(2));
        assert!(nearest[0].is_some_and(|(_, cosine)| cosine > 0.99));
    }

    #[test]
    fn a_single_text_has_no_neighbour_and_a_zero_vector_no_similarity() {
        assert_eq!(nearest(&[vec![1.0]]), [None]);
        assert_eq!(nearest(&[vec![0.0], vec![1.0]])[0], Some((1, 0.0)));
    }
}
