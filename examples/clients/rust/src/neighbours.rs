//! Which other vector is closest to each.

/// The closest of the other vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbour {
    /// Its index.
    pub(crate) index: usize,
    /// Cosine of the angle between the two, −1 to 1.
    pub(crate) cosine: f32,
}

/// For each vector its nearest neighbour among the others; `None` for a single vector. The first of equals wins.
pub(crate) fn nearest(vectors: &[&[f32]]) -> Vec<Option<Neighbour>> {
    let nearest_to = |index: usize| {
        let others = (0..vectors.len()).filter(|&other| other != index);
        let neighbours = others.map(|other| Neighbour { index: other, cosine: cosine(vectors[index], vectors[other]) });
        neighbours.reduce(|best, next| if next.cosine > best.cosine { next } else { best })
    };
    (0..vectors.len()).map(nearest_to).collect()
}

/// Cosine of the angle between two vectors; 0 when one has no length.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_vector_with_the_smallest_angle_whatever_its_length() {
        let found = nearest(&[&[1.0, 0.0], &[0.0, 1.0], &[5.0, 1.0]]);
        let indices: Vec<_> = found.iter().map(|neighbour| neighbour.map(|neighbour| neighbour.index)).collect();
        assert_eq!(indices, [Some(2), Some(2), Some(0)]);
        let cosine = found[0].expect("there are others").cosine;
        assert!((cosine - 5.0 / 26f32.sqrt()).abs() < 1e-6, "{cosine}");
    }

    #[test]
    fn a_single_vector_has_no_neighbour() {
        assert_eq!(nearest(&[&[1.0, 0.0]]), [None]);
        assert_eq!(nearest(&[]), []);
    }

    #[test]
    fn a_vector_without_length_is_close_to_nothing() {
        let found = nearest(&[&[0.0, 0.0], &[1.0, 0.0]]);
        assert_eq!(found[0], Some(Neighbour { index: 1, cosine: 0.0 }));
    }
}
