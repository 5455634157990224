//! A tensor in guest memory: element type, shape, and bytes that are known to fit both.

use ndarray::{ArrayViewD, CowArray, IxDyn};

pub use crate::bindings::wasi::nn::tensor::Tensor as HostTensor;
pub use crate::bindings::wasi::nn::tensor::TensorType as DataType;
use crate::element::{Element, name, size_bytes};
use crate::error::{Error, ErrorKind};

/// A tensor that the host holds, with the name of the model's input or output it is for.
pub type NamedTensor = (String, HostTensor);

/// Row-major, little-endian data of one element type, borrowed from the guest or read from the host.
///
/// The constructors establish what the views rely on: the byte length is the product of the shape times the element size,
/// and the bytes are aligned for the element type.
///
/// ```
/// use wisp_guest::Tensor;
///
/// let ids = Tensor::from_slice(&[2, 2], &[101_i64, 102, 101, 102])?;
/// assert_eq!(ids.view::<i64>()?[[1, 0]], 101);
/// # Ok::<(), wisp_guest::Error>(())
/// ```
pub struct Tensor<'a> {
    data_type: DataType,
    shape: Vec<usize>,
    storage: Storage<'a>,
}

enum Storage<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
    /// A copy made because the bytes came misaligned; the second field is the length in bytes.
    Realigned(Vec<u64>, usize),
}

impl<'a> Tensor<'a> {
    /// A tensor over `values`, which are not copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when `shape` does not have as many elements as `values`.
    pub fn from_slice<T: Element>(shape: &[usize], values: &'a [T]) -> Result<Self, Error> {
        let bytes = bytemuck::cast_slice(values);
        check_length(T::DATA_TYPE, shape, bytes.len())?;
        Ok(Self { data_type: T::DATA_TYPE, shape: shape.to_vec(), storage: Storage::Borrowed(bytes) })
    }

    /// A tensor that owns `data`. The bytes are moved, or copied once when they are not aligned for `data_type`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when `data` is not as long as `shape` and `data_type` ask for.
    pub fn from_bytes(data_type: DataType, shape: &[usize], data: Vec<u8>) -> Result<Self, Error> {
        check_length(data_type, shape, data.len())?;
        // No element is larger than 8 bytes, so data aligned for its own size is aligned for its type.
        let is_aligned = data.as_ptr().align_offset(size_bytes(data_type)) == 0;
        let storage = if is_aligned { Storage::Owned(data) } else { realign(&data) };
        Ok(Self { data_type, shape: shape.to_vec(), storage })
    }

    /// Reads a tensor of the host into guest memory: one copy, made by the host.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the host's bytes do not fit its own shape.
    pub fn from_host(tensor: &HostTensor) -> Result<Self, Error> {
        let shape: Vec<usize> = tensor.dimensions().into_iter().map(|axis| axis as usize).collect();
        Self::from_bytes(tensor.ty(), &shape, tensor.data())
    }

    /// Hands a copy of the tensor to the host under the name of a model's input.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] when an axis does not fit 32 bits.
    pub fn named(&self, name: impl Into<String>) -> Result<NamedTensor, Error> {
        let axis_limit =
            |_| Error::new(ErrorKind::TooLarge, format!("tensor of shape {:?} has an axis over 2^32 - 1", self.shape));
        let dimensions =
            self.shape.iter().map(|&axis| u32::try_from(axis)).collect::<Result<Vec<_>, _>>().map_err(axis_limit)?;
        Ok((name.into(), HostTensor::new(&dimensions, self.data_type, self.bytes())))
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
    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Borrowed(bytes) => bytes,
            Storage::Owned(bytes) => bytes,
            Storage::Realigned(words, length_bytes) => &bytemuck::cast_slice(words)[..*length_bytes],
        }
    }

    /// The elements as an array of the tensor's shape, without a copy.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the tensor holds another element type.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>, Error> {
        if T::DATA_TYPE != self.data_type {
            let (actual, requested) = (name(self.data_type), name(T::DATA_TYPE));
            return Err(Error::invalid_argument(format!("tensor holds {actual}, not {requested}")));
        }
        let values = bytemuck::cast_slice(self.bytes());
        Ok(ArrayViewD::from_shape(IxDyn(&self.shape), values).expect("the constructor checked length against shape"))
    }

    /// The elements as `f32`: a view when they are, converted when they are another floating-point type.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the tensor holds integers.
    pub fn to_f32(&self) -> Result<CowArray<'_, f32, IxDyn>, Error> {
        match self.data_type {
            DataType::Fp32 => Ok(self.view::<f32>()?.into()),
            DataType::Fp16 => Ok(self.view::<half::f16>()?.mapv(half::f16::to_f32).into()),
            DataType::Bf16 => Ok(self.view::<half::bf16>()?.mapv(half::bf16::to_f32).into()),
            DataType::Fp64 => Ok(self.view::<f64>()?.mapv(narrow).into()),
            integer => Err(Error::unsupported(format!("tensor holds {}, not a floating-point type", name(integer)))),
        }
    }
}

impl Tensor<'_> {
    /// The elements as `f32`, one after the other in row-major order, converted as [`Tensor::to_f32`] does.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the tensor holds integers.
    pub fn to_f32_vec(&self) -> Result<Vec<f32>, Error> {
        let bytes = self.bytes();
        match self.data_type {
            DataType::Fp32 => Ok(bytemuck::cast_slice(bytes).to_vec()),
            DataType::Fp16 => Ok(converted(bytes, half::f16::to_f32)),
            DataType::Bf16 => Ok(converted(bytes, half::bf16::to_f32)),
            DataType::Fp64 => Ok(converted(bytes, narrow)),
            integer => Err(Error::unsupported(format!("tensor holds {}, not a floating-point type", name(integer)))),
        }
    }
}

/// Elements of another type; the bytes of a tensor are aligned for its own.
fn converted<T: Element>(bytes: &[u8], convert: fn(T) -> f32) -> Vec<f32> {
    bytemuck::cast_slice(bytes).iter().map(|&value| convert(value)).collect()
}

impl std::fmt::Debug for Tensor<'_> {
    /// Type and shape only: payloads are users' data and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({}{:?})", name(self.data_type), self.shape)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what the caller asks for")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn realign(data: &[u8]) -> Storage<'static> {
    let mut words = vec![0_u64; data.len().div_ceil(size_of::<u64>())];
    bytemuck::cast_slice_mut(&mut words)[..data.len()].copy_from_slice(data);
    Storage::Realigned(words, data.len())
}

fn check_length(data_type: DataType, shape: &[usize], actual_bytes: usize) -> Result<(), Error> {
    let expected_bytes = shape.iter().try_fold(size_bytes(data_type), |product, &axis| product.checked_mul(axis));
    if expected_bytes == Some(actual_bytes) {
        return Ok(());
    }
    let expected =
        expected_bytes.map_or_else(|| "more bytes than memory has".to_owned(), |bytes| format!("{bytes} bytes"));
    Err(Error::invalid_argument(format!(
        "tensor of shape {shape:?} and type {} needs {expected}, got {actual_bytes}",
        name(data_type)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_the_values_it_is_made_of() {
        let values = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let tensor = Tensor::from_slice(&[2, 3], &values).expect("6 values");
        assert_eq!(tensor.bytes().as_ptr(), values.as_ptr().cast());
        let view = tensor.view::<f32>().expect("f32");
        assert_eq!(view.shape(), [2, 3]);
        assert_eq!(view[[1, 2]].to_bits(), 6.0_f32.to_bits());
    }

    #[test]
    fn refuses_bytes_that_do_not_fit_the_shape() {
        let error = Tensor::from_bytes(DataType::I64, &[2, 3], vec![0; 47]).expect_err("47 is not 48");
        assert_eq!(error.to_string(), "tensor of shape [2, 3] and type i64 needs 48 bytes, got 47");
        let error = Tensor::from_slice(&[usize::MAX, 2], &[0_u8]).expect_err("overflows");
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert!(error.message.contains("needs more bytes than memory has, got 1"), "{error}");
    }

    #[test]
    fn refuses_a_view_of_another_type() {
        let tensor = Tensor::from_slice(&[2], &[1.0_f32, 2.0]).expect("2 values");
        assert_eq!(tensor.view::<i32>().expect_err("f32").to_string(), "tensor holds f32, not i32");
        let error = Tensor::from_slice(&[1], &[1_i64]).expect("1 value").to_f32().expect_err("integers").to_string();
        assert_eq!(error, "tensor holds i64, not a floating-point type");
    }

    #[test]
    fn copies_misaligned_bytes_and_keeps_their_values() {
        let values = [3_i64, -4, 5];
        for padding in 0..8 {
            let mut data = vec![0_u8; padding];
            data.extend_from_slice(bytemuck::cast_slice(&values));
            let words = realign(&data[padding..]);
            let tensor = Tensor { data_type: DataType::I64, shape: vec![3], storage: words };
            assert_eq!(tensor.view::<i64>().expect("i64").as_slice().expect("contiguous"), values);
        }
    }

    #[test]
    fn moves_aligned_bytes_without_a_copy() {
        let data = vec![7_u8; 24];
        let address = data.as_ptr();
        let is_aligned = address.align_offset(8) == 0;
        let tensor = Tensor::from_bytes(DataType::I64, &[3], data).expect("24 bytes");
        assert_eq!(tensor.bytes().as_ptr() == address, is_aligned);
    }

    #[test]
    fn converts_every_floating_point_type_to_f32() {
        let expected = [1.5_f32, -2.0];
        let halves = expected.map(half::f16::from_f32);
        let brains = expected.map(half::bf16::from_f32);
        let doubles = expected.map(f64::from);
        for tensor in [
            Tensor::from_slice(&[2], &expected),
            Tensor::from_slice(&[2], &halves),
            Tensor::from_slice(&[2], &brains),
            Tensor::from_slice(&[2], &doubles),
        ] {
            let tensor = tensor.expect("2 values");
            let values = tensor.to_f32().expect("floating point");
            assert_eq!(values.as_slice().expect("contiguous"), expected, "{tensor:?}");
            assert_eq!(tensor.to_f32_vec().expect("floating point"), expected, "{tensor:?}");
        }
    }
}
