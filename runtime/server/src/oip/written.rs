//! The elements of a tensor written as JSON, in one list.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::contents::numbers;
use super::datatype::Datatype;
use super::tensors::{Elements, WireTensor};

/// A tensor whose elements JSON can say.
pub(crate) struct Written<'a>(&'a WireTensor);

impl<'a> Written<'a> {
    /// The elements of a tensor, if JSON can say them; the error says why not.
    pub(crate) fn of(tensor: &'a WireTensor) -> Result<Self, &'static str> {
        const NOT_FINITE: &str = "it holds a value that is no finite number";
        match (&tensor.elements, tensor.datatype) {
            (Elements::Strings(strings), _) if strings.iter().any(|it| std::str::from_utf8(it).is_err()) => {
                Err("it holds bytes that are not UTF-8")
            }
            (Elements::Fixed(bytes), Datatype::Fp32) if !all(bytes, |it| f32::from_le_bytes(it).is_finite()) => {
                Err(NOT_FINITE)
            }
            (Elements::Fixed(bytes), Datatype::Fp64) if !all(bytes, |it| f64::from_le_bytes(it).is_finite()) => {
                Err(NOT_FINITE)
            }
            (_, datatype) if datatype.is_binary_only() => Err("JSON has no floating point of 16 bits"),
            _ => Ok(Self(tensor)),
        }
    }
}

fn all<const N: usize>(bytes: &Bytes, holds: impl Fn([u8; N]) -> bool) -> bool {
    bytes.as_chunks::<N>().0.iter().all(|&element| holds(element))
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = match &self.0.elements {
            Elements::Fixed(bytes) => bytes,
            Elements::Strings(strings) => {
                let mut list = serializer.serialize_seq(Some(strings.len()))?;
                for string in strings {
                    list.serialize_element(&String::from_utf8_lossy(string))?;
                }
                return list.end();
            }
        };
        match self.0.datatype {
            Datatype::Bool => serializer.collect_seq(bytes.iter().map(|&byte| byte != 0)),
            Datatype::Int8 => serializer.collect_seq(numbers(bytes, i8::from_le_bytes)),
            Datatype::Int16 => serializer.collect_seq(numbers(bytes, i16::from_le_bytes)),
            Datatype::Int32 => serializer.collect_seq(numbers(bytes, i32::from_le_bytes)),
            Datatype::Int64 => serializer.collect_seq(numbers(bytes, i64::from_le_bytes)),
            Datatype::Uint16 => serializer.collect_seq(numbers(bytes, u16::from_le_bytes)),
            Datatype::Uint32 => serializer.collect_seq(numbers(bytes, u32::from_le_bytes)),
            Datatype::Uint64 => serializer.collect_seq(numbers(bytes, u64::from_le_bytes)),
            Datatype::Fp32 => serializer.collect_seq(numbers(bytes, f32::from_le_bytes)),
            Datatype::Fp64 => serializer.collect_seq(numbers(bytes, f64::from_le_bytes)),
            // A byte is a byte; those of 16-bit floating point are refused before.
            Datatype::Uint8 | Datatype::Bytes | Datatype::Fp16 | Datatype::Bf16 => serializer.collect_seq(bytes.iter()),
        }
    }
}
