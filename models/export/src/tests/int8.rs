//! The int8 export of the small encoder: structure, codes, determinism.

use safetensors::Dtype;

use super::{Encoder, assert_whole, floats, initializer, tensors, transposed};
use crate::graph::ElementType;
use crate::onnx::GraphProto;
use crate::{ExportError, ExportReport, export_bert_int8};

/// Projections of two layers, and the table of words.
const MATRICES: usize = 2 * 6 + 1;

fn exported(encoder: &Encoder) -> (ExportReport, GraphProto) {
    let report = encoder.export_with(export_bert_int8).expect("the encoder is valid");
    let model = encoder.model();
    assert_eq!(model.opset_import[0].version, 13, "the first with one scale a channel");
    (report, model.graph.expect("a model has a graph"))
}

#[test]
fn large_matrices_are_bytes_and_everything_else_is_as_in_f32() {
    let encoder = Encoder::plain();
    let plain = encoder.exported();
    let f32_report = encoder.export().expect("the encoder is valid");
    let (report, graph) = exported(&encoder);
    assert_whole(&graph);
    assert_eq!((graph.input, graph.output), (plain.input, plain.output));
    assert_eq!(report.parameters, f32_report.parameters);
    assert_eq!(report.bytes, encoder.output().len() as u64);
    let dequantized = graph.node.iter().filter(|node| node.op_type == "DequantizeLinear").count();
    assert_eq!(dequantized, MATRICES);
    for tensor in &graph.initializer {
        if let Some(known) = plain.initializer.iter().find(|known| known.name == tensor.name) {
            assert_eq!(tensor, known, "vectors, small tables and constants stay");
        }
    }
}

#[test]
fn codes_scales_and_zeros_give_the_weights_back() {
    let (_, graph) = exported(&Encoder::plain());
    let tensors = tensors();
    for node in graph.node.iter().filter(|node| node.op_type == "DequantizeLinear") {
        let name = &node.output[0];
        let (shape, values) = &tensors[name];
        let is_table = name.contains("embeddings");
        let axis = node.attribute[0].i.expect("axis is an integer");
        assert_eq!(axis, i64::from(!is_table), "{name}");
        let codes = initializer(&graph, &node.input[0]);
        let (scales, zeros) = (floats(initializer(&graph, &node.input[1])), initializer(&graph, &node.input[2]));
        assert_eq!((codes.data_type, zeros.data_type), (ElementType::U8.code(), ElementType::U8.code()));
        let (shape, values) = if is_table { (shape.clone(), values.clone()) } else { transposed(shape, values) };
        assert_eq!(codes.dims, shape.iter().map(|&axis| axis as i64).collect::<Vec<_>>(), "{name}");
        for (index, value) in values.iter().enumerate() {
            let channel = if is_table { index / shape[1] } else { index % shape[1] };
            let (code, zero) = (codes.raw_data[index], zeros.raw_data[channel]);
            let back = (f32::from(code) - f32::from(zero)) * scales[channel];
            assert!((back - value).abs() <= scales[channel], "{name}[{index}]: {value} became {back}");
        }
    }
}

#[test]
fn the_int8_bytes_change_only_with_the_revision_of_the_graph() {
    let encoder = Encoder::plain();
    exported(&encoder);
    let expected = encoder.output_digest();
    assert_eq!(expected, "e2bf8e984eadf11a149beb2db6c5985c27d54eea1620249bea41e1c54d1f3707");
    for (prefix, data_type) in [("bert.", Dtype::F32), ("", Dtype::F16), ("bert.", Dtype::BF16)] {
        let other = Encoder::new(prefix, data_type, |_| {});
        exported(&other);
        assert_eq!(other.output_digest(), expected, "prefix `{prefix}`, {data_type}");
    }
}

#[test]
fn a_matrix_that_is_not_finite_is_refused_and_leaves_nothing_behind() {
    for name in ["embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight"] {
        let encoder = Encoder::new("", Dtype::F32, |tensors| {
            tensors.get_mut(name).expect("it is there").1[3] = f32::NAN;
        });
        let error = encoder.export_with(export_bert_int8).expect_err("no scale fits");
        assert!(matches!(&error, ExportError::NotFinite { tensor, .. } if tensor.starts_with(name)), "{error}");
        assert!(!encoder.path("model.onnx").exists());
    }
}
