//! The elements of a tensor read from JSON: numbers, true and false, or strings, nested as the shape is or in one list.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::datatype::Datatype;
use super::tensors::{Head, TensorFault, WireTensor};

/// What to do with elements that JSON cannot say.
const USE_BINARY: &str = "send it after the JSON, with the parameter `binary_data_size`";

/// Elements in the order in which they stand, whatever lists they stand in. All are of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Flat {
    #[default]
    Empty,
    /// Whole numbers, up to those that 64 bits hold with or without a sign.
    Whole(Vec<i128>),
    /// Numbers of which one at least has a fraction or an exponent.
    Real(Vec<f64>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
}

/// Reads a tensor out of JSON.
pub(crate) fn decode(head: Head, flat: Flat) -> Result<WireTensor, TensorFault> {
    let datatype = head.datatype;
    match (datatype, flat) {
        (Datatype::Fp16 | Datatype::Bf16, _) => {
            Err(TensorFault::BinaryOnly { name: head.name, datatype, remedy: USE_BINARY })
        }
        (Datatype::Bytes, Flat::Empty) => head.with_strings(Vec::new()),
        (Datatype::Bytes, Flat::Strings(strings)) => head.with_strings(strings.into_iter().map(Bytes::from).collect()),
        (_, Flat::Empty) => head.with_numbers(std::iter::empty::<u8>(), |it| Some([it])),
        (Datatype::Bool, Flat::Bools(bools)) => head.with_numbers(bools.into_iter(), |it| Some([u8::from(it)])),
        // Rounding to the nearest is what writing it as a fraction would do.
        (Datatype::Fp32, Flat::Whole(it)) => head.with_numbers(it.into_iter(), |it| Some((it as f32).to_le_bytes())),
        (Datatype::Fp64, Flat::Whole(it)) => head.with_numbers(it.into_iter(), |it| Some((it as f64).to_le_bytes())),
        (Datatype::Fp32, Flat::Real(it)) => {
            head.with_numbers(it.into_iter(), |it| finite_f32(it).map(f32::to_le_bytes))
        }
        (Datatype::Fp64, Flat::Real(it)) => head.with_numbers(it.into_iter(), |it| Some(it.to_le_bytes())),
        (Datatype::Bytes | Datatype::Bool | Datatype::Fp32 | Datatype::Fp64, other) => Err(misplaced(head, &other)),
        (_, Flat::Whole(whole)) => decode_whole(head, whole),
        (_, other) => Err(misplaced(head, &other)),
    }
}

fn decode_whole(head: Head, whole: Vec<i128>) -> Result<WireTensor, TensorFault> {
    let whole = whole.into_iter();
    match head.datatype {
        Datatype::Int8 => head.with_numbers(whole, |it| Some(i8::try_from(it).ok()?.to_le_bytes())),
        Datatype::Int16 => head.with_numbers(whole, |it| Some(i16::try_from(it).ok()?.to_le_bytes())),
        Datatype::Int32 => head.with_numbers(whole, |it| Some(i32::try_from(it).ok()?.to_le_bytes())),
        Datatype::Int64 => head.with_numbers(whole, |it| Some(i64::try_from(it).ok()?.to_le_bytes())),
        Datatype::Uint8 => head.with_numbers(whole, |it| Some(u8::try_from(it).ok()?.to_le_bytes())),
        Datatype::Uint16 => head.with_numbers(whole, |it| Some(u16::try_from(it).ok()?.to_le_bytes())),
        Datatype::Uint32 => head.with_numbers(whole, |it| Some(u32::try_from(it).ok()?.to_le_bytes())),
        _ => head.with_numbers(whole, |it| Some(u64::try_from(it).ok()?.to_le_bytes())),
    }
}

/// The nearest f32; `None` for what only a larger type holds.
fn finite_f32(value: f64) -> Option<f32> {
    Some(value as f32).filter(|nearest| nearest.is_finite())
}

fn misplaced(head: Head, found: &Flat) -> TensorFault {
    let expected = match head.datatype {
        Datatype::Bytes => "strings",
        Datatype::Bool => "true and false",
        Datatype::Fp32 | Datatype::Fp64 => "numbers",
        _ => "whole numbers",
    };
    TensorFault::Kind { name: head.name, datatype: head.datatype, expected, actual: found.kind() }
}

impl Flat {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "nothing",
            Self::Whole(_) => "whole numbers",
            Self::Real(_) => "numbers with fractions",
            Self::Bools(_) => "true and false",
            Self::Strings(_) => "strings",
        }
    }

    fn push_whole<E: Error>(&mut self, value: i128) -> Result<(), E> {
        match self {
            Self::Empty => *self = Self::Whole(vec![value]),
            Self::Whole(whole) => whole.push(value),
            Self::Real(real) => real.push(value as f64),
            other => return Err(mixed(other, "numbers")),
        }
        Ok(())
    }

    fn push_real<E: Error>(&mut self, value: f64) -> Result<(), E> {
        match self {
            Self::Empty => *self = Self::Real(vec![value]),
            Self::Whole(whole) => {
                let mut real: Vec<f64> = whole.iter().map(|&it| it as f64).collect();
                real.push(value);
                *self = Self::Real(real);
            }
            Self::Real(real) => real.push(value),
            other => return Err(mixed(other, "numbers")),
        }
        Ok(())
    }

    fn push_bool<E: Error>(&mut self, value: bool) -> Result<(), E> {
        match self {
            Self::Empty => *self = Self::Bools(vec![value]),
            Self::Bools(bools) => bools.push(value),
            other => return Err(mixed(other, "true and false")),
        }
        Ok(())
    }

    fn push_string<E: Error>(&mut self, value: &str) -> Result<(), E> {
        match self {
            Self::Empty => *self = Self::Strings(vec![value.to_owned()]),
            Self::Strings(strings) => strings.push(value.to_owned()),
            other => return Err(mixed(other, "strings")),
        }
        Ok(())
    }
}

fn mixed<E: Error>(found: &Flat, more: &str) -> E {
    E::custom(format!("the data of a tensor mixes {} with {more}", found.kind()))
}

/// Adds one element, or all elements of a list, to those before.
struct Push<'a>(&'a mut Flat);

impl<'de> serde::de::DeserializeSeed<'de> for Push<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The parser bounds how deep lists may stand in lists.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Push<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, true and false, or strings, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Push(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push_whole(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push_whole(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push_real(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push_bool(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.push_string(value)
    }
}

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = Self::Empty;
        serde::de::DeserializeSeed::deserialize(Push(&mut flat), deserializer)?;
        Ok(flat)
    }
}
