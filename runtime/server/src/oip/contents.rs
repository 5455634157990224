//! Typed contents: the lists of gRPC messages in which elements stand by themselves, in place of raw bytes.

use bytes::Bytes;
use wisp_proto::inference::InferTensorContents;

use super::datatype::Datatype;
use super::tensors::{Elements, Head, TensorFault, WireTensor};

/// What to do with elements that no list takes.
const USE_RAW: &str = "use raw_input_contents, for all inputs";

/// Reads a tensor whose elements stand in the list of its datatype.
pub(crate) fn decode(head: Head, contents: InferTensorContents) -> Result<WireTensor, TensorFault> {
    let datatype = head.datatype;
    if let Some(expected) = place(datatype)
        && let Some(actual) = filled(&contents).find(|actual| *actual != expected)
    {
        return Err(TensorFault::Place { name: head.name, datatype, expected, actual });
    }
    match datatype {
        Datatype::Bool => head.with_numbers(contents.bool_contents.into_iter(), |it| Some([u8::from(it)])),
        Datatype::Int8 => {
            head.with_numbers(contents.int_contents.into_iter(), |it| Some(i8::try_from(it).ok()?.to_le_bytes()))
        }
        Datatype::Int16 => {
            head.with_numbers(contents.int_contents.into_iter(), |it| Some(i16::try_from(it).ok()?.to_le_bytes()))
        }
        Datatype::Int32 => head.with_numbers(contents.int_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Int64 => head.with_numbers(contents.int64_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Uint8 => head.with_numbers(contents.uint_contents.into_iter(), |it| Some([u8::try_from(it).ok()?])),
        Datatype::Uint16 => {
            head.with_numbers(contents.uint_contents.into_iter(), |it| Some(u16::try_from(it).ok()?.to_le_bytes()))
        }
        Datatype::Uint32 => head.with_numbers(contents.uint_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Uint64 => head.with_numbers(contents.uint64_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Fp32 => head.with_numbers(contents.fp32_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Fp64 => head.with_numbers(contents.fp64_contents.into_iter(), |it| Some(it.to_le_bytes())),
        Datatype::Bytes => head.with_strings(contents.bytes_contents),
        Datatype::Fp16 | Datatype::Bf16 => Err(TensorFault::BinaryOnly { name: head.name, datatype, remedy: USE_RAW }),
    }
}

/// Writes the elements into the list of their datatype; `None` where there is none.
pub(crate) fn encode(tensor: &WireTensor) -> Option<InferTensorContents> {
    let mut contents = InferTensorContents::default();
    let bytes = match &tensor.elements {
        Elements::Strings(strings) => {
            contents.bytes_contents.clone_from(strings);
            return Some(contents);
        }
        Elements::Fixed(bytes) => bytes,
    };
    match tensor.datatype {
        Datatype::Bool => contents.bool_contents = bytes.iter().map(|&byte| byte != 0).collect(),
        Datatype::Int8 => contents.int_contents = numbers(bytes, |it| i8::from_le_bytes(it).into()),
        Datatype::Int16 => contents.int_contents = numbers(bytes, |it| i16::from_le_bytes(it).into()),
        Datatype::Int32 => contents.int_contents = numbers(bytes, i32::from_le_bytes),
        Datatype::Int64 => contents.int64_contents = numbers(bytes, i64::from_le_bytes),
        Datatype::Uint8 => contents.uint_contents = numbers(bytes, |it| u8::from_le_bytes(it).into()),
        Datatype::Uint16 => contents.uint_contents = numbers(bytes, |it| u16::from_le_bytes(it).into()),
        Datatype::Uint32 => contents.uint_contents = numbers(bytes, u32::from_le_bytes),
        Datatype::Uint64 => contents.uint64_contents = numbers(bytes, u64::from_le_bytes),
        Datatype::Fp32 => contents.fp32_contents = numbers(bytes, f32::from_le_bytes),
        Datatype::Fp64 => contents.fp64_contents = numbers(bytes, f64::from_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => return None,
    }
    Some(contents)
}

/// Whether no list has an element.
pub(crate) fn is_empty(contents: &InferTensorContents) -> bool {
    filled(contents).next().is_none()
}

/// Elements of `N` bytes as numbers.
pub(super) fn numbers<T, const N: usize>(bytes: &Bytes, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|&element| read(element)).collect()
}

/// The list that takes the elements of a datatype.
const fn place(datatype: Datatype) -> Option<&'static str> {
    match datatype {
        Datatype::Bool => Some("bool_contents"),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => Some("int_contents"),
        Datatype::Int64 => Some("int64_contents"),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => Some("uint_contents"),
        Datatype::Uint64 => Some("uint64_contents"),
        Datatype::Fp32 => Some("fp32_contents"),
        Datatype::Fp64 => Some("fp64_contents"),
        Datatype::Bytes => Some("bytes_contents"),
        Datatype::Fp16 | Datatype::Bf16 => None,
    }
}

/// The lists that have elements.
fn filled(contents: &InferTensorContents) -> impl Iterator<Item = &'static str> {
    let lists = [
        ("bool_contents", contents.bool_contents.is_empty()),
        ("int_contents", contents.int_contents.is_empty()),
        ("int64_contents", contents.int64_contents.is_empty()),
        ("uint_contents", contents.uint_contents.is_empty()),
        ("uint64_contents", contents.uint64_contents.is_empty()),
        ("fp32_contents", contents.fp32_contents.is_empty()),
        ("fp64_contents", contents.fp64_contents.is_empty()),
        ("bytes_contents", contents.bytes_contents.is_empty()),
    ];
    lists.into_iter().filter(|(_, is_empty)| !is_empty).map(|(name, _)| name)
}
