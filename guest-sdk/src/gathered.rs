//! Vectors of batches, finished as the caller asked and put back into the order of the inputs.

use ndarray::ArrayView2;

use crate::embedder::{Embeddings, Options};
use crate::error::Error;
use crate::pooling;

/// The answer while it is being filled, batch by batch.
pub(crate) struct Gathered {
    rows: usize,
    normalize: bool,
    dimensions: Option<u32>,
    /// Empty until the first batch tells how long a vector is.
    values: Vec<f32>,
}

impl Gathered {
    pub(crate) fn new(rows: usize, options: Options) -> Self {
        Self { rows, normalize: options.normalize, dimensions: options.dimensions, values: Vec::new() }
    }

    /// Takes the `vectors` of these `rows`, whole. Those that `are_normalized` already stay bit for bit what they are unless
    /// dimensions are cut off them.
    pub(crate) fn put(
        &mut self,
        rows: &[u32],
        vectors: ArrayView2<'_, f32>,
        are_normalized: bool,
    ) -> Result<(), Error> {
        if vectors.nrows() != rows.len() {
            return Err(Error::internal(format!("model gave {} vectors for {} inputs", vectors.nrows(), rows.len())));
        }
        let is_cut = self.dimensions.is_some_and(|dimensions| dimensions as usize != vectors.ncols());
        let mut vectors = match self.dimensions {
            Some(dimensions) => pooling::truncate_dimensions(vectors, dimensions)?.to_owned(),
            None => vectors.to_owned(),
        };
        if self.normalize && (is_cut || !are_normalized) {
            pooling::normalize(vectors.view_mut());
        }
        let width = vectors.ncols();
        self.values.resize(self.rows * width, 0.0);
        for (&row, vector) in rows.iter().zip(vectors.outer_iter()) {
            let start = row as usize * width;
            for (value, &component) in self.values[start..start + width].iter_mut().zip(vector) {
                *value = component;
            }
        }
        Ok(())
    }

    /// The answer, once every row was put.
    pub(crate) fn finish(self, token_counts: Vec<u32>) -> Embeddings {
        let dimensions = self.values.len().checked_div(self.rows).unwrap_or(0);
        let dimensions = u32::try_from(dimensions).expect("a vector in 32-bit memory has fewer than 2^32 components");
        Embeddings { values: self.values, dimensions, token_counts }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::error::ErrorKind;

    fn options(normalize: bool, dimensions: Option<u32>) -> Options {
        Options { normalize, dimensions, truncate: true }
    }

    #[test]
    fn puts_rows_back_into_the_order_of_the_inputs() {
        let mut gathered = Gathered::new(3, options(false, None));
        gathered.put(&[2, 0], array![[5.0, 6.0], [1.0, 2.0]].view(), false).expect("fits");
        gathered.put(&[1], array![[3.0, 4.0]].view(), false).expect("fits");
        let embeddings = gathered.finish(vec![3, 4, 5]);
        assert_eq!(embeddings.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(embeddings.dimensions, 2);
        assert_eq!(embeddings.token_counts, [3, 4, 5]);
    }

    #[test]
    fn cuts_before_it_normalises() {
        let mut gathered = Gathered::new(1, options(true, Some(2)));
        gathered.put(&[0], array![[3.0, 4.0, 12.0]].view(), false).expect("fits");
        assert_eq!(gathered.finish(vec![1]).values, [0.6, 0.8]);
    }

    #[test]
    fn normalises_again_what_it_cut() {
        let mut gathered = Gathered::new(1, options(true, Some(2)));
        gathered.put(&[0], array![[0.6, 0.0, 0.8]].view(), true).expect("fits");
        assert_eq!(gathered.finish(vec![1]).values, [1.0, 0.0]);
    }

    #[test]
    fn leaves_the_bits_of_normalised_vectors_alone() {
        // Not of length 1 on purpose: a second normalisation would show.
        let vector = array![[0.6, 0.7]];
        for dimensions in [None, Some(2)] {
            let mut gathered = Gathered::new(1, options(true, dimensions));
            gathered.put(&[0], vector.view(), true).expect("fits");
            assert_eq!(gathered.finish(vec![1]).values, [0.6, 0.7]);
        }
    }

    #[test]
    fn reports_a_model_that_gives_fewer_vectors_than_rows() {
        let mut gathered = Gathered::new(2, options(false, None));
        let error = gathered.put(&[0, 1], array![[1.0]].view(), false).expect_err("one for two");
        assert_eq!(error.kind, ErrorKind::Internal);
        assert_eq!(error.to_string(), "model gave 1 vectors for 2 inputs");
    }

    #[test]
    fn refuses_more_dimensions_than_the_model_has() {
        let mut gathered = Gathered::new(1, options(true, Some(4)));
        let error = gathered.put(&[0], array![[1.0, 0.0]].view(), true).expect_err("4 of 2");
        assert_eq!(error.to_string(), "dimensions must be from 1 to 2, got 4");
    }
}
