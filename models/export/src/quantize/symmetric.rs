//! A matrix whose bytes are multiplied with bytes: symmetric, one scale for each output, and without the channels that are not.
//!
//! Processors without VNNI multiply bytes in pairs and add both products in 16 bits, saturating: 255 · 127 twice does not fit.
//! So a scale lets the magnitudes of the two codes of every pair add up to 128 at most (255 · 128 < 2^15), which costs less
//! than halving every code: large weights rarely stand side by side.

use crate::ExportError;
use crate::weights::StoredTensor;

/// Largest sum of the magnitudes of two neighbours; each may be rounded up by a half.
const PAIR_LIMIT: f32 = 127.0;

/// A stored matrix `[out, in]` as it is multiplied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Symmetric {
    /// `[in, out]`; zeros where a channel stands apart.
    pub(crate) codes: Vec<i8>,
    /// `[out]`.
    pub(crate) scales: Vec<f32>,
    /// The weights of the channels that stand apart, `[channels, out]`.
    pub(crate) apart: Vec<f32>,
}

impl Symmetric {
    /// Reads and rounds the matrix; `apart` are the input channels that stay f32, each below the number of inputs.
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::NotFinite`] with `name` for a matrix that no scale fits.
    pub(crate) fn of(stored: &StoredTensor, name: &str, apart: &[usize]) -> Result<Self, ExportError> {
        let (outputs, inputs) = (stored.shape[0], stored.shape[1]);
        let mut rounded =
            Self { codes: vec![0; inputs * outputs], scales: Vec::new(), apart: vec![0.0; apart.len() * outputs] };
        stored.rows(|row| {
            let output = rounded.scales.len();
            let mut inner = row.to_vec();
            for (index, &channel) in apart.iter().enumerate() {
                rounded.apart[index * outputs + output] = std::mem::take(&mut inner[channel]);
            }
            let not_finite = || ExportError::NotFinite { path: stored.path().to_path_buf(), tensor: name.to_owned() };
            let scale = scale(&inner).filter(|_| row.iter().all(|value| value.is_finite())).ok_or_else(not_finite)?;
            for (code, value) in rounded.codes.iter_mut().skip(output).step_by(outputs).zip(inner) {
                *code = signed(value / scale);
            }
            rounded.scales.push(scale);
            Ok(())
        })?;
        Ok(rounded)
    }
}

/// The scale of a row; `None` where its values are too far apart for any.
fn scale(row: &[f32]) -> Option<f32> {
    let pairs = row.chunks(2).map(|pair| pair.iter().map(|value| value.abs()).sum::<f32>());
    let scale = pairs.fold(0.0, f32::max) / PAIR_LIMIT;
    match scale.is_finite() {
        // A row of zeros, or of numbers so small that their scale is none.
        true => Some(if scale.is_normal() { scale } else { 1.0 }),
        false => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the argument is clamped to whole numbers from -127 to 127")]
fn signed(code: f32) -> i8 {
    code.round_ties_even().clamp(-PAIR_LIMIT, PAIR_LIMIT) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_never_add_up_to_what_saturates() {
        for row in [&[1.0, -1.0, 0.25][..], &[0.3, 0.7, -0.9, 0.099, 0.5], &[126.5, 0.5], &[3.0]] {
            let scale = scale(row).expect("finite");
            let codes: Vec<i32> = row.iter().map(|&value| i32::from(signed(value / scale))).collect();
            for pair in codes.chunks(2) {
                let sum: i32 = pair.iter().map(|code| code.abs()).sum();
                assert!(sum * 255 <= i32::from(i16::MAX), "{row:?} became {codes:?}");
            }
            for (&value, code) in row.iter().zip(codes) {
                assert!((value - code as f32 * scale).abs() <= scale * 0.5001, "{value} became {code} at {scale}");
            }
        }
    }

    #[test]
    fn a_row_without_numbers_that_count_has_a_scale_and_one_too_wide_has_none() {
        assert_eq!(scale(&[0.0, 0.0]), Some(1.0));
        assert_eq!(scale(&[1e-42]), Some(1.0));
        assert_eq!(scale(&[f32::MAX, f32::MAX]), None);
    }
}
