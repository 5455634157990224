//! Every datatype in every form, and what is said of tensors that are none.

use bytes::Bytes;
use proptest::prelude::*;
use wisp_proto::inference::InferTensorContents;

use super::*;
use crate::oip::fuzzing::check;
use crate::oip::{contents, json};

fn head(datatype: Datatype, shape: &[i64]) -> Head {
    Head::read("x", datatype.name(), shape).expect("a shape")
}

fn raw(datatype: Datatype, shape: &[i64], bytes: &[u8]) -> Result<WireTensor, String> {
    let head = Head::read("x", datatype.name(), shape).map_err(|error| error.to_string())?;
    head.with_raw(Bytes::copy_from_slice(bytes)).map_err(|error| error.to_string())
}

fn typed(datatype: Datatype, shape: &[i64], contents: InferTensorContents) -> Result<WireTensor, String> {
    contents::decode(head(datatype, shape), contents).map_err(|error| error.to_string())
}

fn from_json(datatype: Datatype, shape: &[i64], text: &str) -> Result<WireTensor, String> {
    let flat = serde_json::from_str(text).map_err(|error| error.to_string())?;
    json::decode(head(datatype, shape), flat).map_err(|error| error.to_string())
}

#[test]
fn a_shape_that_is_none_is_refused_before_any_element() {
    for (shape, message) in [
        (vec![2, -1], "input `x`: shape [2, -1] has an axis below 0; in a request every axis has its length"),
        (vec![i64::MAX, 2], "input `x`: a tensor of shape [9223372036854775807, 2] is too large to address"),
        (
            vec![1 << 40, 1 << 40, 0],
            "input `x`: a tensor of shape [1099511627776, 1099511627776, 0] is too large to address",
        ),
        (vec![1; 1000], "input `x` has 1000 axes; at most 16 are supported"),
    ] {
        for datatype in Datatype::ALL {
            assert_eq!(raw(datatype, &shape, &[]).expect_err(message), message);
        }
    }
    let error = Head::read("x", "FLOAT", &[1]).expect_err("no datatype").to_string();
    assert!(error.starts_with("input `x`: datatype `FLOAT` does not exist; there is BOOL, UINT8, "), "{error}");
}

#[test]
fn raw_bytes_are_as_many_as_the_shape_needs() {
    assert!(raw(Datatype::Int64, &[2, 3], &[0; 48]).is_ok());
    for length in [0, 47, 49] {
        let error = raw(Datatype::Int64, &[2, 3], &vec![0; length]).expect_err("48 are needed");
        assert_eq!(error, format!("input `x` of shape [2, 3] and INT64 needs 48 bytes, got {length}"));
    }
    assert!(raw(Datatype::Fp32, &[0, 7], &[]).is_ok());
    assert!(raw(Datatype::Fp32, &[], &[0; 4]).is_ok(), "a scalar has one element");
    assert_eq!(
        raw(Datatype::Bool, &[2], &[1, 2]).expect_err("2 is neither"),
        "input `x`: element 1 is no BOOL; 1 is true and 0 is false"
    );
}

#[test]
fn strings_follow_their_lengths() {
    let bytes = [&[2, 0, 0, 0][..], b"ab", &[0, 0, 0, 0], &[1, 0, 0, 0], b"c"].concat();
    let tensor = raw(Datatype::Bytes, &[3], &bytes).expect("three strings");
    let strings = ["ab", "", "c"].map(|text| Bytes::from_static(text.as_bytes()));
    assert_eq!(tensor.elements, Elements::Strings(strings.to_vec()));
    assert_eq!(tensor.to_raw(), bytes);
    for (bytes, message) in [
        (&bytes[..bytes.len() - 1], "input `x`: element 2 says that it has 1 bytes, and 0 are left"),
        (&[255, 255, 255, 255, 1], "input `x`: element 0 says that it has 4294967295 bytes, and 1 are left"),
        (&[1, 0], "input `x`: element 0 says that it has 4 bytes, and 2 are left"),
        (&[0, 0, 0, 0], "input `x` of shape [3] needs 3 elements, got 1"),
    ] {
        assert_eq!(raw(Datatype::Bytes, &[3], bytes).expect_err(message), message);
    }
    // A shape that promises more than there is costs nothing.
    assert!(raw(Datatype::Bytes, &[1 << 50], &[]).is_err());
}

#[test]
fn typed_contents_stand_in_their_own_list() {
    let numbers = |values: &[i32]| InferTensorContents { int_contents: values.to_vec(), ..Default::default() };
    let tensor = typed(Datatype::Int8, &[2], numbers(&[-128, 127])).expect("fits");
    assert_eq!(tensor.to_raw(), [0x80, 0x7f][..]);
    for (datatype, shape, contents, message) in [
        (Datatype::Int8, 2, numbers(&[1, 128]), "input `x`: element 1 does not fit INT8"),
        (Datatype::Int32, 3, numbers(&[1, 2]), "input `x` of shape [3] needs 3 elements, got 2"),
        (Datatype::Int32, 1, numbers(&[1, 2]), "input `x` of shape [1] needs 1 elements, got 2"),
        (
            Datatype::Int64,
            2,
            numbers(&[1, 2]),
            "input `x` is INT64: its elements belong into int64_contents, not into int_contents",
        ),
        (
            Datatype::Fp16,
            2,
            numbers(&[1, 2]),
            "input `x` is FP16, which is sent in binary form only; use raw_input_contents, for all inputs",
        ),
    ] {
        assert_eq!(typed(datatype, &[shape], contents).expect_err(message), message);
    }
}

#[test]
fn json_is_nested_or_flat_and_of_one_kind() {
    let nested = from_json(Datatype::Int64, &[2, 2], "[[1, 2], [3, 4]]").expect("nested");
    assert_eq!(nested, from_json(Datatype::Int64, &[2, 2], "[1, 2, 3, 4]").expect("flat"));
    assert_eq!(from_json(Datatype::Fp32, &[3], "[1, 2.5, -3e1]").expect("numbers").to_raw().len(), 12);
    assert!(from_json(Datatype::Uint64, &[1], "[18446744073709551615]").is_ok());
    for (datatype, text, message) in [
        (Datatype::Int64, "[1, 2.5]", "input `x` is INT64: its data must be whole numbers, not numbers with fractions"),
        (Datatype::Int64, "[1, \"2\"]", "the data of a tensor mixes whole numbers with strings at line 1 column 7"),
        (
            Datatype::Int64,
            "[1, null]",
            "invalid type: null, expected numbers, true and false, or strings, in lists at line 1 column 8",
        ),
        (Datatype::Uint8, "[256, -1]", "input `x`: element 0 does not fit UINT8"),
        (Datatype::Fp32, "[1.5, 1e300]", "input `x`: element 1 does not fit FP32"),
        (Datatype::Bytes, "[1, 2]", "input `x` is BYTES: its data must be strings, not whole numbers"),
        (Datatype::Bool, "[1, 0]", "input `x` is BOOL: its data must be true and false, not whole numbers"),
        (Datatype::Int32, "[1]", "input `x` of shape [2] needs 2 elements, got 1"),
        (
            Datatype::Bf16,
            "[1, 2]",
            "input `x` is BF16, which is sent in binary form only; send it after the JSON, with the parameter `binary_data_size`",
        ),
    ] {
        assert_eq!(from_json(datatype, &[2], text).expect_err(message), message);
    }
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    assert!(from_json(Datatype::Int32, &[1], &deep).expect_err("too deep").starts_with("recursion limit exceeded"));
}

#[test]
fn what_json_cannot_say_is_not_written() {
    let nan = raw(Datatype::Fp32, &[1], &f32::NAN.to_le_bytes()).expect("a number of its type");
    assert!(crate::oip::written::Written::of(&nan).is_err_and(|reason| reason.contains("finite")));
    let bytes = raw(Datatype::Bytes, &[1], &[1, 0, 0, 0, 0xff]).expect("one string");
    assert!(crate::oip::written::Written::of(&bytes).is_err_and(|reason| reason.contains("UTF-8")));
}

proptest! {
    #[test]
    fn every_tensor_comes_back_from_every_form(
        index in 0..Datatype::ALL.len(),
        shape in proptest::collection::vec(0_i64..4, 0..4),
        bytes in proptest::collection::vec(any::<u8>(), 512),
    ) {
        let datatype = Datatype::ALL[index];
        let head = head(datatype, &shape);
        let tensor = match datatype.size_bytes() {
            None => head.clone().with_strings(bytes.chunks(3).take(head.count).map(Bytes::copy_from_slice).collect()),
            Some(size) => {
                let kept = if datatype == Datatype::Bool { 1 } else { 0xff };
                let elements: Vec<u8> = bytes.iter().take(head.count * size).map(|byte| byte & kept).collect();
                head.with_raw(elements.into())
            }
        };
        check(&tensor.expect("as many elements as the shape says"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        index in 0..Datatype::ALL.len(),
        shape in proptest::collection::vec(any::<i64>(), 0..20),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let small: Vec<i64> = shape.iter().map(|axis| axis % 5).collect();
        for shape in [shape, small] {
            if let Ok(tensor) = raw(Datatype::ALL[index], &shape, &bytes) {
                check(&tensor);
            }
        }
    }
}
