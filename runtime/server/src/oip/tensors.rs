//! A tensor on its way: read from bytes that a client sent, checked against its own shape, and written again.
//!
//! The raw form is little-endian, row-major and without gaps; BOOL is a byte of 0 or 1; of BYTES, each element follows its
//! length in four bytes. Source: Open Inference Protocol, "Tensor Contents", and Triton's binary tensor data extension.

#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use wisp_core::{ErrorKind, Kinded, RANK_LIMIT, Tensor, TensorError};
use wisp_engine::{InferTensor, Values};

use super::datatype::Datatype;

/// Bytes of the length before each element of BYTES.
const LENGTH_BYTES: usize = size_of::<u32>();

/// A tensor of the protocol whose elements fit its shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WireTensor {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Elements,
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    /// Of one size each, little-endian.
    Fixed(Bytes),
    /// Of BYTES.
    Strings(Vec<Bytes>),
}

/// What a client says of a tensor before its elements are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<usize>,
    /// Elements that the shape asks for.
    pub(crate) count: usize,
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TensorFault {
    #[error("input `{name}`: datatype `{datatype}` does not exist; there is {}", all_names())]
    Datatype { name: String, datatype: String },
    #[error("input `{name}`: shape {shape:?} has an axis below 0; in a request every axis has its length")]
    NegativeAxis { name: String, shape: Vec<i64> },
    #[error("input `{name}` has {rank} axes; at most {RANK_LIMIT} are supported")]
    Rank { name: String, rank: usize },
    #[error("input `{name}`: a tensor of shape {shape:?} is too large to address")]
    Overflow { name: String, shape: Vec<i64> },
    #[error("input `{name}` of shape {shape:?} and {datatype} needs {expected} bytes, got {actual}")]
    Length { name: String, datatype: Datatype, shape: Vec<usize>, expected: usize, actual: usize },
    #[error("input `{name}` of shape {shape:?} needs {expected} elements, got {actual}")]
    Count { name: String, shape: Vec<usize>, expected: usize, actual: usize },
    #[error("input `{name}`: element {index} says that it has {length} bytes, and {left} are left")]
    Cut { name: String, index: usize, length: usize, left: usize },
    #[error("input `{name}`: element {index} is no BOOL; 1 is true and 0 is false")]
    NotBool { name: String, index: usize },
    #[error("input `{name}`: element {index} does not fit {datatype}")]
    Range { name: String, index: usize, datatype: Datatype },
    #[error("input `{name}` is {datatype}: its elements belong into {expected}, not into {actual}")]
    Place { name: String, datatype: Datatype, expected: &'static str, actual: &'static str },
    #[error("input `{name}` is {datatype}: its data must be {expected}, not {actual}")]
    Kind { name: String, datatype: Datatype, expected: &'static str, actual: &'static str },
    #[error("input `{name}` is {datatype}, which is sent in binary form only; {remedy}")]
    BinaryOnly { name: String, datatype: Datatype, remedy: &'static str },
    #[error("input `{name}`: {reason}")]
    Tensor { name: String, reason: TensorError },
}

impl Kinded for TensorFault {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl Head {
    /// Checks name, datatype and shape by themselves.
    pub(crate) fn read(name: &str, datatype: &str, shape: &[i64]) -> Result<Self, TensorFault> {
        let name = name.to_owned();
        let Some(datatype) = Datatype::named(datatype) else {
            // A client may send anything as a name, and gets it back.
            return Err(TensorFault::Datatype { name, datatype: datatype.chars().take(32).collect() });
        };
        if shape.len() > RANK_LIMIT {
            return Err(TensorFault::Rank { name, rank: shape.len() });
        }
        let axes: Result<Vec<usize>, _> = shape.iter().map(|&axis| usize::try_from(axis)).collect();
        let Ok(axes) = axes else { return Err(TensorFault::NegativeAxis { name, shape: shape.to_vec() }) };
        // Whoever multiplies some of the axes later must not overflow, wherever an empty one stands.
        let filled = axes.iter().copied().filter(|&axis| axis > 0);
        let size = datatype.size_bytes().unwrap_or(LENGTH_BYTES);
        let bytes = filled.clone().try_fold(size, usize::checked_mul).filter(|&it| isize::try_from(it).is_ok());
        let Some(bytes) = bytes else { return Err(TensorFault::Overflow { name, shape: shape.to_vec() }) };
        let count = if axes.contains(&0) { 0 } else { bytes / size };
        Ok(Self { name, datatype, shape: axes, count })
    }

    /// The tensor whose elements are `raw`.
    pub(crate) fn with_raw(self, raw: Bytes) -> Result<WireTensor, TensorFault> {
        let Some(size) = self.datatype.size_bytes() else {
            let strings = split_strings(&self.name, raw)?;
            return self.with_strings(strings);
        };
        let (expected, actual) = (self.count * size, raw.len());
        let Self { name, datatype, shape, .. } = self;
        if expected != actual {
            return Err(TensorFault::Length { name, datatype, shape, expected, actual });
        }
        if datatype == Datatype::Bool
            && let Some(index) = raw.iter().position(|&byte| byte > 1)
        {
            return Err(TensorFault::NotBool { name, index });
        }
        Ok(WireTensor { name, datatype, shape, elements: Elements::Fixed(raw) })
    }

    /// The tensor whose elements are these strings.
    pub(crate) fn with_strings(self, strings: Vec<Bytes>) -> Result<WireTensor, TensorFault> {
        self.check_count(strings.len())?;
        let Self { name, datatype, shape, .. } = self;
        Ok(WireTensor { name, datatype, shape, elements: Elements::Strings(strings) })
    }

    /// The tensor whose elements are these numbers, each as its little-endian bytes.
    pub(crate) fn with_numbers<T, const N: usize>(
        self,
        numbers: impl ExactSizeIterator<Item = T>,
        to_bytes: impl Fn(T) -> Option<[u8; N]>,
    ) -> Result<WireTensor, TensorFault> {
        self.check_count(numbers.len())?;
        let mut bytes = BytesMut::with_capacity(numbers.len() * N);
        for (index, number) in numbers.enumerate() {
            let Some(number) = to_bytes(number) else {
                return Err(TensorFault::Range { name: self.name, index, datatype: self.datatype });
            };
            bytes.put_slice(&number);
        }
        self.with_raw(bytes.freeze())
    }

    fn check_count(&self, actual: usize) -> Result<(), TensorFault> {
        if actual == self.count {
            return Ok(());
        }
        let (name, shape) = (self.name.clone(), self.shape.clone());
        Err(TensorFault::Count { name, shape, expected: self.count, actual })
    }
}

impl WireTensor {
    /// The raw form.
    pub(crate) fn to_raw(&self) -> Bytes {
        let strings = match &self.elements {
            Elements::Fixed(bytes) => return bytes.clone(),
            Elements::Strings(strings) => strings,
        };
        let mut raw = BytesMut::with_capacity(strings.iter().map(|string| LENGTH_BYTES + string.len()).sum());
        for string in strings {
            // No message is that large.
            raw.put_u32_le(u32::try_from(string.len()).unwrap_or(u32::MAX));
            raw.put_slice(string);
        }
        raw.freeze()
    }

    /// The shape as messages carry it.
    pub(crate) fn wire_shape(&self) -> Vec<i64> {
        self.shape.iter().map(|&axis| i64::try_from(axis).unwrap_or(i64::MAX)).collect()
    }

    /// What the engine is given; `None` for a datatype that no model computes with.
    pub(crate) fn into_input(self) -> Result<Option<InferTensor>, TensorFault> {
        let Self { name, datatype, shape, elements } = self;
        let values = match (elements, datatype.data_type()) {
            (Elements::Strings(elements), _) => Values::Strings { shape, elements },
            (Elements::Fixed(bytes), Some(data_type)) => match Tensor::new(data_type, &shape, bytes) {
                Ok(tensor) => Values::Numbers(tensor),
                Err(reason) => return Err(TensorFault::Tensor { name, reason }),
            },
            (Elements::Fixed(_), None) => return Ok(None),
        };
        Ok(Some(InferTensor { name, values }))
    }

    /// What the engine has answered.
    pub(crate) fn of_output(output: InferTensor) -> Self {
        let (shape, datatype) = (output.values.shape(), Datatype::from(output.values.value_type()));
        let elements = match output.values {
            Values::Numbers(tensor) => Elements::Fixed(tensor.data().clone()),
            Values::Strings { elements, .. } => Elements::Strings(elements),
            Values::Counts(counts) => {
                Elements::Fixed(counts.iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<u8>>().into())
            }
        };
        Self { name: output.name, datatype, shape, elements }
    }
}

/// The elements of BYTES in their raw form. Each takes four bytes at least, which bounds how many there are.
fn split_strings(name: &str, mut raw: Bytes) -> Result<Vec<Bytes>, TensorFault> {
    let mut strings = Vec::new();
    while !raw.is_empty() {
        let cut = |length, left| TensorFault::Cut { name: name.to_owned(), index: strings.len(), length, left };
        let Some((length, _)) = raw.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(cut(LENGTH_BYTES, raw.len()));
        };
        let length = u32::from_le_bytes(*length) as usize;
        let mut rest = raw.split_off(LENGTH_BYTES);
        if rest.len() < length {
            return Err(cut(length, rest.len()));
        }
        raw = rest.split_off(length);
        strings.push(rest);
    }
    Ok(strings)
}

fn all_names() -> String {
    Datatype::ALL.map(Datatype::name).join(", ")
}
