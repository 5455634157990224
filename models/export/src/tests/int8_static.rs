//! The static int8 export of the small encoder: structure, codes, outliers, determinism.

use std::collections::BTreeMap;

use super::{Encoder, assert_whole, floats, initializer, tensors, transposed};
use crate::calibration::{Range, Ranges};
use crate::graph::ElementType;
use crate::onnx::{GraphProto, NodeProto};
use crate::{ExportError, ExportReport, export_bert_int8_static, export_bert_observed};

/// What projections of two layers take: the input, the context, the attended states, what GELU lets through.
const ACTIVATIONS: usize = 2 * 4;

fn ranges(outliers: &[usize]) -> Ranges {
    let encoder = Encoder::plain();
    let observed = encoder.export_with(export_bert_observed).expect("the encoder is valid");
    let range = Range { minimum: -3.0, maximum: 9.0, low: -1.0, high: 4.0, outliers: outliers.to_vec() };
    let activations: BTreeMap<_, _> = observed.into_iter().map(|(name, _)| (name, range.clone())).collect();
    assert_eq!(activations.len(), ACTIVATIONS);
    Ranges { texts: 1, tokens: 1, activations }
}

fn exported(encoder: &Encoder, ranges: &Ranges) -> (ExportReport, GraphProto) {
    let report = encoder.export_with(|request| export_bert_int8_static(request, ranges)).expect("the encoder is valid");
    let model = encoder.model();
    assert_eq!(model.opset_import[0].version, 13, "the first with one scale a channel");
    (report, model.graph.expect("a model has a graph"))
}

fn of_type<'g>(graph: &'g GraphProto, operator: &str) -> Vec<&'g NodeProto> {
    graph.node.iter().filter(|node| node.op_type == operator).collect()
}

#[test]
fn every_projection_takes_bytes_and_what_several_take_is_rounded_once() {
    let encoder = Encoder::plain();
    let plain = encoder.exported();
    let f32_report = encoder.export().expect("the encoder is valid");
    for outliers in [&[][..], &[0, 3]] {
        let (report, graph) = exported(&encoder, &ranges(outliers));
        assert_whole(&graph);
        assert_eq!((&graph.input, &graph.output), (&plain.input, &plain.output));
        assert_eq!(report.parameters, f32_report.parameters);
        assert_eq!(of_type(&graph, "QuantizeLinear").len(), ACTIVATIONS);
        // Activations, and the weights of six projections a layer.
        assert_eq!(of_type(&graph, "DequantizeLinear").len(), ACTIVATIONS + 2 * 6);
        let apart = of_type(&graph, "MatMul").iter().filter(|node| node.name.ends_with(".product.outliers")).count();
        assert_eq!(apart, if outliers.is_empty() { 0 } else { 2 * 6 });
    }
}

#[test]
fn codes_and_the_channels_apart_give_the_weights_back() {
    let (_, graph) = exported(&Encoder::plain(), &ranges(&[0, 3]));
    for (name, (shape, values)) in tensors() {
        if !name.contains("encoder") || !name.ends_with(".weight") || shape.len() != 2 {
            continue;
        }
        let (shape, values) = transposed(&shape, &values);
        let codes = initializer(&graph, &format!("{name}.codes"));
        let scales = floats(initializer(&graph, &format!("{name}.scales")));
        let apart = floats(initializer(&graph, &format!("{name}.outliers")));
        assert_eq!(codes.data_type, ElementType::I8.code(), "{name}");
        for (index, value) in values.iter().enumerate() {
            let (input, output) = (index / shape[1], index % shape[1]);
            let code = codes.raw_data[index].cast_signed();
            match [0, 3].iter().position(|&channel| channel == input) {
                Some(row) => assert_eq!((code, apart[row * shape[1] + output]), (0, *value), "{name}[{index}]"),
                None => {
                    let back = f32::from(code) * scales[output];
                    assert!((back - value).abs() <= scales[output] * 0.501, "{name}[{index}]: {value} became {back}");
                }
            }
        }
    }
}

#[test]
fn the_static_bytes_change_only_with_the_revision_of_the_graph_and_the_ranges() {
    let encoder = Encoder::plain();
    let expected = "abae2845932a4a1d14c17d3a0f39279009e61817bd356cb54612c8079b24a3c4";
    exported(&encoder, &ranges(&[1]));
    assert_eq!(encoder.output_digest(), expected);
    exported(&encoder, &ranges(&[2]));
    assert_ne!(encoder.output_digest(), expected);
}

#[test]
fn ranges_of_another_model_are_refused_and_leave_nothing_behind() {
    let mut missing = ranges(&[]);
    missing.activations.remove("encoder.layer.1.attention.joined");
    for (ranges, message) in
        [(missing, "`encoder.layer.1.attention.joined` is not among them"), (ranges(&[8]), "beyond its 8 channels")]
    {
        let encoder = Encoder::plain();
        let error = encoder
            .export_with(|request| export_bert_int8_static(request, &ranges))
            .expect_err("the ranges do not fit");
        assert!(matches!(error, ExportError::Activation { .. }) && error.to_string().contains(message), "{error}");
        assert!(!encoder.path("model.onnx").exists());
    }
}

#[test]
fn the_observed_form_is_the_f32_form_with_more_outputs() {
    let encoder = Encoder::plain();
    let plain = encoder.exported();
    let activations = encoder.export_with(export_bert_observed).expect("the encoder is valid");
    assert_eq!(activations[0], ("embeddings.LayerNorm".to_owned(), 8));
    assert_eq!(activations[3], ("encoder.layer.0.intermediate.gelu".to_owned(), 12));
    let graph = encoder.model().graph.expect("a model has a graph");
    assert_eq!((&graph.node, graph.initializer.len()), (&plain.node, plain.initializer.len()));
    let outputs: Vec<_> = graph.output.iter().skip(2).map(|output| output.name.clone()).collect();
    assert_eq!(outputs, activations.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
}
