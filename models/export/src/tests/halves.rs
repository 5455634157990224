//! The f16 export of the small encoder: types, values, determinism.

use half::f16;
use safetensors::Dtype;

use super::{Encoder, assert_whole, floats, initializer};
use crate::export_bert_f16;
use crate::graph::ElementType;
use crate::onnx::GraphProto;

fn exported(encoder: &Encoder) -> GraphProto {
    let report = encoder.export_with(export_bert_f16).expect("the encoder is valid");
    assert_eq!(report.bytes, encoder.output().len() as u64);
    let model = encoder.model();
    assert_eq!(model.opset_import[0].version, 12, "the last in which runtimes fuse attention");
    model.graph.expect("a model has a graph")
}

#[test]
fn everything_but_the_mask_is_f16_up_to_the_last_hidden_state_and_what_goes_in_and_out_stays() {
    let encoder = Encoder::plain();
    let plain = encoder.exported();
    encoder.export().expect("the encoder is valid");
    let graph = exported(&encoder);
    assert_whole(&graph);
    assert_eq!((&graph.input, &graph.output), (&plain.input, &plain.output));
    let single = ElementType::F32.code();
    let floats: Vec<_> = graph.initializer.iter().filter(|tensor| tensor.data_type == single).collect();
    assert!(
        floats.iter().all(|tensor| ["pooling.", "mask."].iter().any(|place| tensor.name.starts_with(place))),
        "{floats:?}"
    );
    let cast = graph.node.iter().find(|node| node.name == "last_hidden_state").expect("is an output");
    assert_eq!((cast.op_type.as_str(), cast.attribute[0].i), ("Cast", Some(i64::from(single))));
}

#[test]
fn each_weight_is_the_nearest_half_of_what_was_stored() {
    let encoder = Encoder::plain();
    let plain = encoder.exported();
    let graph = exported(&encoder);
    let mut compared = 0;
    for tensor in graph.initializer.iter().filter(|tensor| tensor.data_type == ElementType::F16.code()) {
        let expected = initializer(&plain, &tensor.name);
        assert_eq!(tensor.dims, expected.dims, "{}", tensor.name);
        let (halves, _) = tensor.raw_data.as_chunks::<2>();
        for (&half, value) in halves.iter().zip(floats(expected)) {
            let nearest = match tensor.name.as_str() {
                "epsilon" => f16::from_bits(1),
                _ => f16::from_f32(value),
            };
            assert_eq!(f16::from_le_bytes(half), nearest, "{}: {value}", tensor.name);
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn the_f16_bytes_change_only_with_the_revision_of_the_graph() {
    let encoder = Encoder::plain();
    exported(&encoder);
    let expected = encoder.output_digest();
    for (prefix, data_type) in [("bert.", Dtype::F32), ("", Dtype::F16), ("bert.", Dtype::BF16)] {
        let other = Encoder::new(prefix, data_type, |_| {});
        exported(&other);
        assert_eq!(other.output_digest(), expected, "prefix `{prefix}`, {data_type}");
    }
}
