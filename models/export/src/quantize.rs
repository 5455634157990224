//! Matrices as bytes, alone or to be multiplied with bytes.
//!
//! Alone ([`Part`]): every row of a stored matrix (an output channel, or a word) gets a scale and a zero point of its own.
//!
//! Asymmetric, `value ≈ (code − zero) · scale` with `code` and `zero` from 0 to 255: a row uses the whole range of a byte
//! whatever its sign, which halves the error of symmetric codes on these weights. All arithmetic is single IEEE operations
//! in a fixed order, so equal weights give equal bytes on every machine.
//!
//! With activations as bytes, too: [`Symmetric`].

mod symmetric;

pub(crate) use symmetric::Symmetric;

use std::io::Write;
use std::path::Path;

use crate::ExportError;
use crate::weights::StoredTensor;

/// Largest code.
const CODE_LIMIT: f32 = 255.0;

/// A part of the int8 form of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// One byte an element.
    Codes {
        /// Whether columns become rows.
        is_transposed: bool,
    },
    /// One f32 a stored row.
    Scales,
    /// One byte a stored row.
    Zeros,
}

/// How the values of a row become codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scheme {
    pub(crate) scale: f32,
    pub(crate) zero: f32,
}

impl Part {
    /// Length of this part of `tensor`.
    pub(crate) fn bytes(self, tensor: &StoredTensor) -> u64 {
        let rows = tensor.shape.first().copied().unwrap_or(1) as u64;
        match self {
            Self::Codes { .. } => tensor.element_count() as u64,
            Self::Scales => rows * 4,
            Self::Zeros => rows,
        }
    }

    /// Writes this part of `tensor`. Transposed codes are in memory meanwhile.
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::NotFinite`] with `name` for a matrix that no scale fits.
    pub(crate) fn write(
        self,
        tensor: &StoredTensor,
        name: &str,
        output: &mut impl Write,
        output_path: &Path,
    ) -> Result<(), ExportError> {
        let mut codes = Vec::new();
        tensor.rows(|row| {
            let not_finite = || ExportError::NotFinite { path: tensor.path().to_path_buf(), tensor: name.to_owned() };
            let scheme = Scheme::of(row).ok_or_else(not_finite)?;
            match self {
                Self::Codes { is_transposed: true } => {
                    codes.extend(row.iter().map(|&value| scheme.code(value)));
                    return Ok(());
                }
                Self::Codes { is_transposed: false } => {
                    output.write_all(&row.iter().map(|&value| scheme.code(value)).collect::<Vec<_>>())
                }
                Self::Scales => output.write_all(&scheme.scale.to_le_bytes()),
                Self::Zeros => output.write_all(&[byte(scheme.zero)]),
            }
            .map_err(ExportError::io("write", output_path))
        })?;
        let columns = tensor.shape.last().copied().unwrap_or(1);
        for column in 0..if codes.is_empty() { 0 } else { columns } {
            let turned: Vec<u8> = codes.iter().skip(column).step_by(columns).copied().collect();
            output.write_all(&turned).map_err(ExportError::io("write", output_path))?;
        }
        Ok(())
    }
}

impl Scheme {
    /// The range of the row, stretched to hold 0: the zero point is exact then. `None` for a range that is not finite.
    pub(crate) fn of(row: &[f32]) -> Option<Self> {
        let is_finite = row.iter().all(|value| value.is_finite());
        let low = row.iter().copied().fold(0.0, f32::min);
        let high = row.iter().copied().fold(0.0, f32::max);
        let range = high - low;
        if !is_finite || !range.is_finite() {
            return None;
        }
        let scale = range / CODE_LIMIT;
        // A row of zeros, or of numbers so small that their scale is none.
        let scale = if scale.is_normal() { scale } else { 1.0 };
        Some(Self { scale, zero: (-low / scale).round_ties_even().clamp(0.0, CODE_LIMIT) })
    }

    fn code(self, value: f32) -> u8 {
        byte((value / self.scale).round_ties_even() + self.zero)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the argument is clamped to whole numbers from 0 to 255"
)]
pub(crate) fn byte(code: f32) -> u8 {
    code.clamp(0.0, CODE_LIMIT) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_half_a_scale_from_the_value_at_most_and_zero_is_exact() {
        let rows: [&[f32]; 5] =
            [&[-1.0, 0.0, 2.5, 0.3], &[0.5, 1.0, 0.7], &[-3.0, -0.1], &[0.0, 0.0], &[1e-42, -1e-42, 0.0]];
        for row in rows {
            let scheme = Scheme::of(row).expect("finite");
            assert_eq!(f32::from(scheme.code(0.0)), scheme.zero);
            for &value in row {
                let back = (f32::from(scheme.code(value)) - scheme.zero) * scheme.scale;
                // The end of the range may be cut by another half: zero is rounded, too.
                assert!(
                    (back - value).abs() <= scheme.scale * 1.001,
                    "{value} became {back} at scale {}",
                    scheme.scale
                );
            }
        }
    }

    #[test]
    fn a_row_without_a_finite_range_has_no_scheme() {
        for row in [&[f32::NAN, 1.0][..], &[f32::INFINITY], &[f32::MIN, f32::MAX]] {
            assert_eq!(Scheme::of(row), None);
        }
    }
}
