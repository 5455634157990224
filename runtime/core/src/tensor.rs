//! A tensor: element type, shape, and shared bytes that are known to fit both.

use bytes::Bytes;

use crate::aligned::AlignedBuffer;
use crate::{DataType, Element, ErrorKind, Kinded};

/// The most axes a tensor may have; models in use have at most six.
pub const RANK_LIMIT: usize = 16;

/// Row-major, little-endian data of one element type. Cloning shares the bytes.
///
/// The constructors establish two invariants that everything downstream relies on: the byte length equals the product of
/// the shape times the element size, and the data is aligned for its element type.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    data_type: DataType,
    shape: Vec<usize>,
    data: Bytes,
}

/// Why bytes, shape and element type do not make a tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The byte length is not the product of the shape times the element size.
    #[error("tensor of shape {shape:?} and type {data_type} needs {expected_bytes} bytes, got {actual_bytes}")]
    Length {
        /// Shape as given.
        shape: Vec<usize>,
        /// Element type as given.
        data_type: DataType,
        /// What the shape asks for.
        expected_bytes: usize,
        /// What was there.
        actual_bytes: usize,
    },
    /// The product of the shape does not fit the address space.
    #[error("tensor of shape {shape:?} and type {data_type} is too large to address")]
    Overflow {
        /// Shape as given.
        shape: Vec<usize>,
        /// Element type as given.
        data_type: DataType,
    },
    /// More axes than [`RANK_LIMIT`].
    #[error("tensor has {rank} axes; at most {RANK_LIMIT} are supported")]
    Rank {
        /// Axes as given.
        rank: usize,
    },
    /// A typed view was asked for with another element type.
    #[error("tensor holds {actual}, not {requested}")]
    Type {
        /// What the tensor holds.
        actual: DataType,
        /// What was asked for.
        requested: DataType,
    },
}

impl Kinded for TensorError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl Tensor {
    /// A tensor over `data`, which is shared when it is aligned for `data_type` and copied once when it is not.
    ///
    /// # Errors
    /// [`TensorError::Length`], [`TensorError::Overflow`] or [`TensorError::Rank`] when shape and bytes do not agree.
    pub fn new(data_type: DataType, shape: &[usize], data: Bytes) -> Result<Self, TensorError> {
        let expected_bytes = byte_length(data_type, shape)?;
        if data.len() != expected_bytes {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                data_type,
                expected_bytes,
                actual_bytes: data.len(),
            });
        }
        let is_aligned = data.as_ptr().align_offset(data_type.size_bytes()) == 0;
        // An empty slice may dangle at any address; an aligned empty buffer keeps `view` total.
        let data = if is_aligned { data } else { AlignedBuffer::copy_of(&data).freeze() };
        Ok(Self { data_type, shape: shape.to_vec(), data })
    }

    /// A tensor holding an aligned copy of `values`.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Self, TensorError> {
        let bytes = AlignedBuffer::copy_of(bytemuck::cast_slice(values)).freeze();
        Self::new(T::DATA_TYPE, shape, bytes)
    }

    /// The element type.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The length of each axis, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The raw bytes, row-major and little-endian.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The number of elements.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.data.len() / self.data_type.size_bytes()
    }

    /// The elements as a typed slice, without a copy.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    pub fn view<T: Element>(&self) -> Result<&[T], TensorError> {
        if T::DATA_TYPE != self.data_type {
            return Err(TensorError::Type { actual: self.data_type, requested: T::DATA_TYPE });
        }
        // Cannot panic: `new` checked the alignment and that the length is a multiple of the element size.
        Ok(bytemuck::cast_slice(&self.data))
    }

    /// Consecutive rows `rows.start..rows.end` of the outermost axis, sharing the bytes.
    ///
    /// Returns `None` when the tensor is a scalar or the range is outside the axis.
    #[must_use]
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Option<Self> {
        let count = *self.shape.first()?;
        if rows.start > rows.end || rows.end > count {
            return None;
        }
        let row_bytes = self.data.len().checked_div(count).unwrap_or(0);
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        let data = self.data.slice(rows.start * row_bytes..rows.end * row_bytes);
        // A row of an aligned tensor starts at a multiple of the element size, so this shares and never fails.
        Self::new(self.data_type, &shape, data).ok()
    }
}

/// Bytes that a tensor of this type and shape occupies.
///
/// An empty axis does not excuse the others: the product of those that are not empty has to fit as well, wherever the empty one
/// stands, so that whoever multiplies some of the axes later cannot overflow.
fn byte_length(data_type: DataType, shape: &[usize]) -> Result<usize, TensorError> {
    if shape.len() > RANK_LIMIT {
        return Err(TensorError::Rank { rank: shape.len() });
    }
    let filled = shape.iter().filter(|&&axis| axis > 0);
    let bytes = filled
        .copied()
        .try_fold(data_type.size_bytes(), usize::checked_mul)
        // `isize::MAX` is the largest allocation Rust knows.
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| TensorError::Overflow { shape: shape.to_vec(), data_type })?;
    Ok(if shape.contains(&0) { 0 } else { bytes })
}

impl std::fmt::Debug for Tensor {
    /// Type and shape only: payloads are users' data and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({}{:?})", self.data_type, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn length_must_fit_shape_and_type() {
        let error = Tensor::new(DataType::I64, &[2, 3], Bytes::from(vec![0; 47])).expect_err("47 is not 48");
        assert_eq!(error.to_string(), "tensor of shape [2, 3] and type i64 needs 48 bytes, got 47");
    }

    #[test]
    fn a_product_that_overflows_is_an_error() {
        for shape in [[usize::MAX, 2, 1], [usize::MAX, 2, 0], [0, usize::MAX, 2], [0, usize::MAX, 0]] {
            let error = Tensor::new(DataType::F32, &shape, Bytes::new()).expect_err("overflows");
            assert!(matches!(error, TensorError::Overflow { .. }), "{shape:?}");
        }
    }

    #[test]
    fn a_shape_with_a_zero_axis_is_empty() {
        let tensor = Tensor::new(DataType::F32, &[0, 384], Bytes::new()).expect("zero rows need zero bytes");
        assert_eq!(tensor.view::<f32>().expect("f32"), &[] as &[f32]);
    }

    #[test]
    fn misaligned_bytes_are_copied_to_aligned_ones() {
        let backing = Bytes::from((0..17).collect::<Vec<u8>>());
        for start in 0..2 {
            let tensor = Tensor::new(DataType::I64, &[2], backing.slice(start..start + 16)).expect("16 bytes");
            assert_eq!(tensor.data(), &backing[start..start + 16]);
            assert_eq!(tensor.view::<i64>().expect("i64").len(), 2);
        }
    }

    #[test]
    fn views_of_another_type_are_refused() {
        let tensor = Tensor::from_slice(&[2], &[1.0_f32, 2.0]).expect("fits");
        assert_eq!(tensor.view::<i32>().expect_err("f32").to_string(), "tensor holds f32, not i32");
    }

    proptest! {
        #[test]
        fn rows_cut_the_outermost_axis(rows in 0_usize..6, width in 0_usize..5, a in 0_usize..8, b in 0_usize..8) {
            let values: Vec<i32> = (0..rows * width).map(|i| i as i32).collect();
            let tensor = Tensor::from_slice(&[rows, width], &values).expect("fits");
            let cut = tensor.rows(a..b);
            if a <= b && b <= rows {
                let cut = cut.expect("inside");
                prop_assert_eq!(cut.shape(), &[b - a, width]);
                prop_assert_eq!(cut.view::<i32>().expect("i32"), &values[a * width..b * width]);
            } else {
                prop_assert!(cut.is_none());
            }
        }

        #[test]
        fn any_shape_and_length_is_accepted_or_refused(shape in proptest::collection::vec(0_usize..5, 0..20), length in 0_usize..200) {
            let _ = Tensor::new(DataType::F16, &shape, Bytes::from(vec![0; length]));
        }
    }
}
