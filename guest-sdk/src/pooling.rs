//! From one vector a token to one vector a text.

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut2, Axis, s};

use crate::error::Error;

/// The smallest length that [`normalize`] divides by, as in PyTorch's `torch.nn.functional.normalize`.
pub const NORM_FLOOR: f32 = 1e-12;

/// The mean over the tokens that take part: `[rows, tokens, width]` and a mask `[rows, tokens]` to `[rows, width]`.
///
/// A token takes part unless its mask is zero. A row without any is all zeros.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the mask is not `[rows, tokens]`.
pub fn mean<M>(hidden: ArrayView3<'_, f32>, mask: ArrayView2<'_, M>) -> Result<Array2<f32>, Error>
where
    M: Copy + Default + PartialEq,
{
    check_mask(hidden.dim(), mask.dim())?;
    let (rows, _, width) = hidden.dim();
    let mut pooled = Array2::zeros((rows, width));
    for ((mut vector, tokens), mask) in pooled.outer_iter_mut().zip(hidden.outer_iter()).zip(mask.outer_iter()) {
        let mut count = 0.0_f32;
        for (token, mask) in tokens.outer_iter().zip(mask) {
            if *mask != M::default() {
                vector += &token;
                count += 1.0;
            }
        }
        vector /= count.max(1.0);
    }
    Ok(pooled)
}

/// The vector of the first token: `[rows, tokens, width]` to `[rows, width]`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when there is no token.
pub fn cls(hidden: ArrayView3<'_, f32>) -> Result<Array2<f32>, Error> {
    if hidden.len_of(Axis(1)) == 0 {
        return Err(Error::invalid_argument("hidden states hold no token, so there is no first one"));
    }
    Ok(hidden.index_axis(Axis(1), 0).to_owned())
}

/// The vector of the last token that takes part: `[rows, tokens, width]` and a mask `[rows, tokens]` to `[rows, width]`.
///
/// A row without any is all zeros.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the mask is not `[rows, tokens]`.
pub fn last<M>(hidden: ArrayView3<'_, f32>, mask: ArrayView2<'_, M>) -> Result<Array2<f32>, Error>
where
    M: Copy + Default + PartialEq,
{
    check_mask(hidden.dim(), mask.dim())?;
    let (rows, _, width) = hidden.dim();
    let mut pooled = Array2::zeros((rows, width));
    for ((mut vector, tokens), mask) in pooled.outer_iter_mut().zip(hidden.outer_iter()).zip(mask.outer_iter()) {
        if let Some(position) = mask.iter().rposition(|mask| *mask != M::default()) {
            vector.assign(&tokens.index_axis(Axis(0), position));
        }
    }
    Ok(pooled)
}

/// Scales each row to length 1: `x / max(‖x‖₂, 1e-12)`.
pub fn normalize(mut vectors: ArrayViewMut2<'_, f32>) {
    for mut vector in vectors.outer_iter_mut() {
        let norm = vector.dot(&vector).sqrt();
        vector /= norm.max(NORM_FLOOR);
    }
}

/// The first `dimensions` columns, not normalised again.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when that is none, or more than there are.
pub fn truncate_dimensions(vectors: ArrayView2<'_, f32>, dimensions: u32) -> Result<ArrayView2<'_, f32>, Error> {
    let available = vectors.ncols();
    check_dimensions(dimensions, available)?;
    Ok(vectors.slice_move(s![.., ..dimensions as usize]))
}

/// Checks a request for the first `dimensions` of vectors that are `available` long.
pub(crate) fn check_dimensions(dimensions: u32, available: usize) -> Result<(), Error> {
    if dimensions == 0 || dimensions as usize > available {
        return Err(Error::invalid_argument(format!("dimensions must be from 1 to {available}, got {dimensions}")));
    }
    Ok(())
}

fn check_mask((rows, tokens, _): (usize, usize, usize), mask: (usize, usize)) -> Result<(), Error> {
    if mask == (rows, tokens) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("mask must have shape [{rows}, {tokens}], got [{}, {}]", mask.0, mask.1)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn hidden() -> Array3<f32> {
        array![[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[4.0, 0.0], [0.0, 4.0], [2.0, 2.0]]]
    }

    #[test]
    fn mean_leaves_masked_tokens_out() {
        let pooled = mean(hidden().view(), array![[1_i64, 1, 0], [1, 1, 1]].view()).expect("shapes fit");
        assert_eq!(pooled, array![[2.0, 4.0], [2.0, 2.0]]);
    }

    #[test]
    fn last_takes_the_last_token_of_each_row_on_either_side_of_the_padding() {
        let pooled =
            last(hidden().view(), array![[true, true, false], [false, true, true]].view()).expect("shapes fit");
        assert_eq!(pooled, array![[3.0, 6.0], [2.0, 2.0]]);
    }

    #[test]
    fn cls_takes_the_first_token() {
        assert_eq!(cls(hidden().view()).expect("3 tokens"), array![[1.0, 2.0], [4.0, 0.0]]);
        assert_eq!(cls(Array3::zeros((2, 0, 4)).view()).expect_err("no token").kind, ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_row_without_tokens_is_zero() {
        let mask = array![[0_u8, 0, 0], [1, 0, 0]];
        assert_eq!(mean(hidden().view(), mask.view()).expect("fits"), array![[0.0, 0.0], [4.0, 0.0]]);
        assert_eq!(last(hidden().view(), mask.view()).expect("fits"), array![[0.0, 0.0], [4.0, 0.0]]);
    }

    #[test]
    fn refuses_a_mask_of_another_shape() {
        for error in [
            mean(hidden().view(), array![[1_i64, 1]].view()).expect_err("one row"),
            last(hidden().view(), array![[1_i64, 1]].view()).expect_err("one row"),
        ] {
            assert_eq!(error.to_string(), "mask must have shape [2, 3], got [1, 2]");
        }
    }

    #[test]
    fn a_zero_vector_stays_zero_when_normalised() {
        let mut vectors = array![[0.0_f32, 0.0], [3.0, 4.0]];
        normalize(vectors.view_mut());
        assert_eq!(vectors, array![[0.0, 0.0], [0.6, 0.8]]);
    }

    #[test]
    fn refuses_more_dimensions_than_there_are_and_none() {
        let vectors = array![[1.0_f32, 2.0, 3.0]];
        assert_eq!(truncate_dimensions(vectors.view(), 2).expect("2 of 3"), array![[1.0, 2.0]]);
        for dimensions in [0, 4] {
            let error = truncate_dimensions(vectors.view(), dimensions).expect_err("outside").to_string();
            assert_eq!(error, format!("dimensions must be from 1 to 3, got {dimensions}"));
        }
    }

    proptest! {
        #[test]
        fn normalised_vectors_have_length_1(values in proptest::collection::vec(-1e3_f32..1e3, 1..64)) {
            prop_assume!(values.iter().any(|value| value.abs() > 1e-3));
            let mut vectors = Array2::from_shape_vec((1, values.len()), values).expect("one row");
            normalize(vectors.view_mut());
            let norm = vectors.iter().map(|value| value * value).sum::<f32>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-5, "{}", norm);
        }

        /// Why a normalised embedding may be cut and normalised again: the result is that of cutting first.
        #[test]
        fn cutting_commutes_with_normalising(
            values in proptest::collection::vec(-10.0_f32..10.0, 8),
            dimensions in 1_u32..8,
        ) {
            prop_assume!(values[..dimensions as usize].iter().any(|value| value.abs() > 0.1));
            let raw = Array2::from_shape_vec((1, 8), values).expect("8 values");
            let mut cut_first = truncate_dimensions(raw.view(), dimensions).expect("fits").to_owned();
            normalize(cut_first.view_mut());
            let mut normalised = raw.clone();
            normalize(normalised.view_mut());
            let mut cut_last = truncate_dimensions(normalised.view(), dimensions).expect("fits").to_owned();
            normalize(cut_last.view_mut());
            for (first, last) in cut_first.iter().zip(&cut_last) {
                prop_assert!((first - last).abs() < 1e-5, "{} {}", first, last);
            }
        }
    }
}
