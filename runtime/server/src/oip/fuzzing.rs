//! The readers of the protocol for whoever feeds them arbitrary bytes: an error, or tensors that read back as they were written.

use bytes::Bytes;
use prost::Message;
use wisp_proto::inference::ModelInferRequest;

use super::contents;
use super::datatype::Datatype;
use super::grpc::read_inputs;
use super::json;
use super::rest::read;
use super::tensors::{Head, WireTensor};
use super::written::Written;

/// Reads the bytes of a `ModelInferRequest`, and how many inputs it has.
///
/// # Errors
/// What is wrong with the message or with an input.
///
/// # Panics
/// When an input does not read back as it was written: a fault of the readers.
#[doc(hidden)]
pub fn decode_message(bytes: &[u8]) -> Result<usize, String> {
    let message = ModelInferRequest::decode(Bytes::copy_from_slice(bytes)).map_err(|error| error.to_string())?;
    let inputs = read_inputs(message.inputs, message.raw_input_contents).map_err(|error| error.to_string())?;
    inputs.iter().for_each(check);
    Ok(inputs.len())
}

/// Reads the body of a REST request whose JSON has `json_length` bytes, and how many inputs it has.
///
/// # Errors
/// What is wrong with the body or with an input.
///
/// # Panics
/// As [`decode_message`].
#[doc(hidden)]
pub fn decode_body(bytes: &[u8], json_length: Option<usize>) -> Result<usize, String> {
    let (_, inputs) = read(Bytes::copy_from_slice(bytes), json_length).map_err(|error| error.to_string())?;
    inputs.iter().for_each(check);
    Ok(inputs.len())
}

/// A tensor that was read has the elements that its shape says, and comes back from each of its forms.
pub(super) fn check(tensor: &WireTensor) {
    let head = || {
        let head = Head::read(&tensor.name, tensor.datatype.name(), &tensor.wire_shape());
        head.expect("a tensor that was read has a head that can be read")
    };
    let raw = head().with_raw(tensor.to_raw()).expect("the raw form of a tensor can be read");
    assert_eq!(raw, *tensor, "raw");
    if let Some(typed) = contents::encode(tensor) {
        let typed = contents::decode(head(), typed).expect("the typed form of a tensor can be read");
        assert_eq!(typed, *tensor, "typed");
    }
    if let Ok(written) = Written::of(tensor) {
        let text = serde_json::to_vec(&written).expect("elements can be written");
        let flat = serde_json::from_slice(&text).expect("elements can be read");
        let json = json::decode(head(), flat).expect("the JSON form of a tensor can be read");
        // The parser of JSON may be off by the last bit of a number of 64 bits.
        assert!(json == *tensor || tensor.datatype == Datatype::Fp64, "{json:?} read from the JSON of {tensor:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wisp_proto::inference::model_infer_request::InferInputTensor;

    use super::*;

    const BODY: &str = r#"{"id":"7","parameters":{"timeout":5,"binary_data_output":true},"inputs":[
        {"name":"texts","shape":[2],"datatype":"BYTES","data":["ä","b"]},
        {"name":"ids","shape":[1,2],"datatype":"INT64","data":[[1,-2]]},
        {"name":"raw","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[{"name":"o"}]}"#;

    fn message() -> Vec<u8> {
        let input = |datatype: &str, shape: &[i64]| InferInputTensor {
            name: "x".to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        let strings = Bytes::from_static(&[1, 0, 0, 0, b'a', 0, 0, 0, 0]);
        let message = ModelInferRequest {
            inputs: vec![input("BYTES", &[2]), input("INT64", &[1, 2])],
            raw_input_contents: vec![strings, Bytes::from_static(&[1; 16])],
            ..Default::default()
        };
        message.encode_to_vec()
    }

    fn body() -> Vec<u8> {
        [BODY.as_bytes(), &[0; 8]].concat()
    }

    #[test]
    fn a_good_request_is_read() {
        assert_eq!(decode_message(&message()), Ok(2));
        assert_eq!(decode_body(&body(), Some(BODY.len())), Ok(3));
    }

    proptest! {
        #[test]
        fn a_damaged_request_is_read_or_refused_with_a_reason(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length in 0_usize..400,
        ) {
            let damaged = |mut bytes: Vec<u8>| {
                for (place, byte) in &damage {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                bytes
            };
            let (message, body) = (damaged(message()), damaged(body()));
            for read in [
                decode_message(&message),
                decode_body(&body, Some(BODY.len())),
                decode_body(&body, Some(length)),
                decode_body(&body, None),
            ] {
                prop_assert!(read.is_ok() || read.is_err_and(|reason| !reason.is_empty()));
            }
        }
    }
}
