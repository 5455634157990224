//! Graphs that are no encoders: what a tool builds is what the file holds.

use prost::Message;

use super::assert_whole;
use crate::graph::{Axis, ElementType, Graph, float, int, ints, text};
use crate::onnx::{GraphProto, ModelProto};

fn written(graph: Graph) -> (i64, GraphProto) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("graph.onnx");
    let bytes = graph.write(&path).expect("the folder is writable");
    let file = std::fs::read(&path).expect("it was written");
    assert_eq!(file.len() as u64, bytes);
    let model = ModelProto::decode(&file[..]).expect("the file is a protobuf message");
    (model.opset_import[0].version, model.graph.expect("a model has a graph"))
}

#[test]
fn a_small_graph_is_written_as_it_was_built() {
    let mut graph = Graph::new("quantised", 13);
    let axes = [Axis::Free("batch"), Axis::Fixed(3)];
    let input = graph.input("x", ElementType::F32, &axes);
    let table = graph.u8s("table", &[1, 3], &[1, 2, 3]);
    let scale = graph.f32s("scale", &[1], &[0.5]);
    let [codes, step, zero] =
        graph.node_with_outputs("DynamicQuantizeLinear", "to_bytes", ["codes", "step", "zero"], &[&input], vec![]);
    let back = graph.node("DequantizeLinear", "back", &[&codes, &step, &zero], vec![]);
    let added = graph.node("Cast", "added", &[&table], vec![int("to", i64::from(ElementType::F32.code()))]);
    let sum = graph.node("Add", "sum", &[&back, &added], vec![]);
    let total = graph.reduce_sum("total", &sum, &[1]);
    let column = graph.unsqueeze("column", &total, &[1]);
    graph.node("Mul", "y", &[&column, &scale], vec![]);
    graph.output("y", ElementType::F32, &[Axis::Free("batch"), Axis::Fixed(1)]);

    let (operator_set, graph) = written(graph);
    assert_eq!(operator_set, 13);
    assert_whole(&graph);
    assert_eq!(graph.node[0].output, ["codes", "step", "zero"]);
    let total = graph.node.iter().find(|node| node.name == "total").expect("it was added");
    assert_eq!(total.input, ["sum", "total.axes"], "set 13 takes axes as an input");
    let table = graph.initializer.iter().find(|tensor| tensor.name == "table").expect("it was added");
    assert_eq!((table.data_type, &table.dims[..], &table.raw_data[..]), (2, &[1, 3][..], &[1, 2, 3][..]));
}

#[test]
fn axes_are_attributes_before_set_13() {
    let mut graph = Graph::new("older", 12);
    let input = graph.input("x", ElementType::I64, &[Axis::Free("batch")]);
    let column = graph.unsqueeze("y", &input, &[1]);
    graph.reduce_sum("z", &column, &[0]);
    graph.output("z", ElementType::I64, &[Axis::Fixed(1)]);
    let (operator_set, graph) = written(graph);
    assert_eq!((operator_set, graph.initializer.len()), (12, 0));
    assert_eq!(graph.node[0].attribute, [ints("axes", &[1]).into_proto()]);
    assert_eq!(graph.node[1].attribute, [ints("axes", &[0]).into_proto(), int("keepdims", 0).into_proto()]);
}

#[test]
fn every_kind_of_attribute_says_its_type() {
    let attributes = vec![int("a", 0), ints("b", &[1, 2]), float("c", 0.0), text("d", "e")];
    let mut graph = Graph::new("attributes", 13);
    let input = graph.input("x", ElementType::F32, &[]);
    graph.node("NobodyHasThis", "y", &[&input], attributes);
    graph.output("y", ElementType::F32, &[]);
    let (_, graph) = written(graph);
    let [a, b, c, d] = &graph.node[0].attribute[..] else { panic!("four were given") };
    assert_eq!((a.r#type, a.i), (2, Some(0)));
    assert_eq!((b.r#type, &b.ints[..]), (7, &[1, 2][..]));
    assert_eq!((c.r#type, c.f), (1, Some(0.0)));
    assert_eq!((d.r#type, d.s.as_deref()), (3, Some(&b"e"[..])));
}
