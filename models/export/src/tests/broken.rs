//! Every kind of broken file gives a typed error that names it, leaves nothing behind, and never panics.

use std::path::Path;

use safetensors::Dtype;

use super::{CONFIG, Encoder, tensors};
use crate::{ExportError, ExportRequest, export_bert};

#[test]
fn weights_cut_anywhere_are_refused() {
    let encoder = Encoder::plain();
    let weights = std::fs::read(encoder.path("model.safetensors")).expect("it was written");
    let header_bytes = 8 + usize::from(u16::from_le_bytes([weights[0], weights[1]]));
    for length in [0, 7, 8, header_bytes - 1, header_bytes, weights.len() / 2, weights.len() - 1] {
        std::fs::write(encoder.path("model.safetensors"), &weights[..length]).expect("the folder is writable");
        let error = encoder.error();
        match length {
            0 | 7 => assert!(matches!(error, ExportError::Header { .. }), "{length}: {error}"),
            _ => assert!(
                matches!(error, ExportError::Length { actual_bytes, .. } if actual_bytes == length as u64),
                "{length}: {error}"
            ),
        }
    }
}

#[test]
fn garbage_headers_are_refused() {
    let encoder = Encoder::plain();
    let with_length = |header: &[u8], data_bytes: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header, &vec![0; data_bytes]].concat()
    };
    let overflowing = br#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}"#;
    let gap = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    let backwards = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#;
    let wrong_size = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    for bytes in [
        vec![0xff; 64],
        with_length(b"not JSON at all", 4),
        with_length(&[0xc3, 0x28, 0xff], 4),
        with_length(b"[]", 0),
        with_length(overflowing, 4),
        with_length(gap, 8),
        with_length(backwards, 8),
        with_length(wrong_size, 4),
    ] {
        std::fs::write(encoder.path("model.safetensors"), &bytes).expect("the folder is writable");
        let error = encoder.error();
        assert!(matches!(error, ExportError::Header { .. }), "{error}");
    }
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let encoder = Encoder::plain();
    let mut weights = std::fs::read(encoder.path("model.safetensors")).expect("it was written");
    weights.push(0);
    std::fs::write(encoder.path("model.safetensors"), weights).expect("the folder is writable");
    assert!(matches!(encoder.error(), ExportError::Length { .. }));
}

#[test]
fn a_missing_tensor_is_named() {
    for name in tensors().into_keys().filter(|name| !name.starts_with("pooler")) {
        let encoder = Encoder::new("", Dtype::F32, |tensors| {
            tensors.remove(&name).expect("it is there before");
        });
        let error = encoder.error();
        assert!(matches!(&error, ExportError::MissingTensor { tensor, .. } if *tensor == name), "{error}");
    }
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    for name in tensors().into_keys().filter(|name| !name.starts_with("pooler")) {
        let encoder = Encoder::new("", Dtype::F32, |tensors| {
            let (shape, values) = tensors.get_mut(&name).expect("it is there");
            *shape = vec![shape.iter().product(), 1];
            assert_eq!(shape[0], values.len());
        });
        let error = encoder.error();
        assert!(
            matches!(&error, ExportError::Shape { tensor, actual, .. } if *tensor == name && actual[1..] == [1]),
            "{error}"
        );
    }
}

#[test]
fn weights_that_are_no_floats_are_refused() {
    let error = Encoder::new("", Dtype::I32, |_| {}).error();
    assert!(matches!(&error, ExportError::DataType { actual, .. } if actual == "I32"), "{error}");
}

#[test]
fn lengths_in_the_configuration_that_no_file_can_have_are_refused() {
    for (from, to) in [
        ("\"vocab_size\": 20", "\"vocab_size\": 18446744073709551615"),
        ("\"hidden_size\": 8", "\"hidden_size\": 18446744073709551614"),
        ("\"max_position_embeddings\": 16", "\"max_position_embeddings\": 18446744073709551615"),
        ("\"type_vocab_size\": 2", "\"type_vocab_size\": 9223372036854775808"),
        ("\"intermediate_size\": 12", "\"intermediate_size\": 9223372036854775808"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 18446744073709551615"),
    ] {
        let encoder = Encoder::plain();
        assert!(CONFIG.contains(from), "{from}");
        std::fs::write(encoder.path("config.json"), CONFIG.replace(from, to)).expect("the folder is writable");
        let error = encoder.error();
        assert!(matches!(error, ExportError::Shape { .. } | ExportError::MissingTensor { .. }), "{to}: {error}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let encoder = Encoder::plain();
    for name in ["model.safetensors", "config.json"] {
        let request = ExportRequest {
            weights: &encoder.path("model.safetensors"),
            config: &encoder.path("config.json"),
            output: &encoder.path("model.onnx"),
        };
        let nowhere = Path::new("nowhere").join(name);
        let request = match name {
            "config.json" => ExportRequest { config: &nowhere, ..request },
            _ => ExportRequest { weights: &nowhere, ..request },
        };
        let error = export_bert(&request).expect_err("the file is not there");
        assert!(matches!(&error, ExportError::Io { path, .. } if *path == nowhere), "{error}");
    }
    let output = encoder.path("nowhere/model.onnx");
    let request = ExportRequest {
        weights: &encoder.path("model.safetensors"),
        config: &encoder.path("config.json"),
        output: &output,
    };
    let error = export_bert(&request).expect_err("the folder is not there");
    assert!(matches!(&error, ExportError::Io { path, .. } if *path == output), "{error}");
}

#[test]
fn a_flipped_bit_in_the_header_is_refused_or_harmless() {
    let encoder = Encoder::plain();
    let weights = std::fs::read(encoder.path("model.safetensors")).expect("it was written");
    let header_bytes = 8 + usize::from(u16::from_le_bytes([weights[0], weights[1]]));
    // Seven is coprime to eight: every bit of a byte gets its turn.
    for position in (0..header_bytes).step_by(7) {
        let mut flipped = weights.clone();
        flipped[position] ^= 1 << (position % 8);
        std::fs::write(encoder.path("model.safetensors"), flipped).expect("the folder is writable");
        // A name outside the architecture may change, and then the export is as long as it says.
        if let Ok(report) = encoder.export() {
            assert_eq!(encoder.output().len() as u64, report.bytes, "byte {position}");
            std::fs::remove_file(encoder.path("model.onnx")).expect("it was written");
        } else {
            assert!(!encoder.path("model.onnx").exists(), "byte {position}");
        }
    }
}
