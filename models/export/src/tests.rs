//! The exporter on a small encoder made here: structure, data, determinism.

mod broken;
mod graphs;
mod halves;
mod int8;
mod int8_static;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use half::{bf16, f16};
use prost::Message;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use sha2::{Digest, Sha256};

use crate::file::GRAPH_REVISION;
use crate::graph::ElementType;
use crate::onnx::{DimensionValue, GraphProto, ModelProto, TensorProto, ValueInfoProto};
use crate::{ExportError, ExportReport, ExportRequest, export_bert};

const FLOAT: i32 = ElementType::F32.code();
const INT64: i32 = ElementType::I64.code();

/// Two layers of two heads.
pub(crate) const CONFIG: &str = r#"{
  "model_type": "bert",
  "hidden_act": "gelu",
  "position_embedding_type": "absolute",
  "is_decoder": false,
  "vocab_size": 20,
  "hidden_size": 8,
  "num_hidden_layers": 2,
  "num_attention_heads": 2,
  "intermediate_size": 12,
  "max_position_embeddings": 16,
  "type_vocab_size": 2,
  "layer_norm_eps": 1e-12
}"#;

/// Weights of that encoder in the pooler-less form, 1 284 elements.
const PARAMETERS: usize = (20 + 16 + 2) * 8 + 2 * 8 + 2 * (4 * (8 * 8 + 8) + (8 * 12 + 12) + (12 * 8 + 8) + 4 * 8);

/// A folder with an encoder in it.
struct Encoder {
    folder: tempfile::TempDir,
}

impl Encoder {
    /// With tensors edited by `edit` and stored in `data_type` under `prefix`.
    fn new(prefix: &str, data_type: Dtype, edit: impl FnOnce(&mut Tensors)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut tensors = tensors();
        edit(&mut tensors);
        let stored: Vec<_> = tensors
            .iter()
            .map(|(name, (shape, values))| (format!("{prefix}{name}"), shape.clone(), store(data_type, values)))
            .collect();
        let views = stored.iter().map(|(name, shape, data)| {
            let view = TensorView::new(data_type, shape.clone(), data).expect("data fills the shape");
            (name.as_str(), view)
        });
        let bytes = serialize(views, None).expect("the tensors are valid");
        std::fs::write(folder.path().join("model.safetensors"), bytes).expect("the folder is writable");
        std::fs::write(folder.path().join("config.json"), CONFIG).expect("the folder is writable");
        Self { folder }
    }

    fn plain() -> Self {
        Self::new("", Dtype::F32, |_| {})
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self) -> Result<ExportReport, ExportError> {
        self.export_with(export_bert)
    }

    fn export_with<T>(
        &self,
        export: impl FnOnce(&ExportRequest<'_>) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        export(&ExportRequest {
            weights: &self.path("model.safetensors"),
            config: &self.path("config.json"),
            output: &self.path("model.onnx"),
        })
    }

    fn output(&self) -> Vec<u8> {
        std::fs::read(self.path("model.onnx")).expect("the export wrote it")
    }

    fn output_digest(&self) -> String {
        Sha256::digest(self.output()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn exported(&self) -> GraphProto {
        self.export().expect("the encoder is valid");
        self.model().graph.expect("a model has a graph")
    }

    /// What was exported last.
    fn model(&self) -> ModelProto {
        ModelProto::decode(&self.output()[..]).expect("the file is a protobuf message")
    }

    fn error(&self) -> ExportError {
        let error = self.export().expect_err("the encoder is broken");
        let mut left: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("the folder exists")
            .map(|entry| entry.expect("the folder is readable").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["config.json", "model.safetensors"], "a failed export leaves nothing behind");
        error
    }
}

type Tensors = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// All tensors of the encoder, and two that the export must pass over, with values that f16 and bf16 hold exactly.
fn tensors() -> Tensors {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![20, 8]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![16, 8]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 8]),
        ("pooler.dense.weight".to_owned(), vec![8, 8]),
        ("pooler.dense.bias".to_owned(), vec![8]),
    ];
    let mut pair = |name: String, weight: Vec<usize>| {
        shapes.push((format!("{name}.bias"), vec![weight[0]]));
        shapes.push((format!("{name}.weight"), weight));
    };
    pair("embeddings.LayerNorm".to_owned(), vec![8]);
    for layer in 0..2 {
        let prefix = format!("encoder.layer.{layer}");
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            pair(format!("{prefix}.attention.{name}"), vec![8, 8]);
        }
        pair(format!("{prefix}.intermediate.dense"), vec![12, 8]);
        pair(format!("{prefix}.output.dense"), vec![8, 12]);
        pair(format!("{prefix}.attention.output.LayerNorm"), vec![8]);
        pair(format!("{prefix}.output.LayerNorm"), vec![8]);
    }
    let mut state = 1_u8;
    let mut next = || {
        state = state.wrapping_mul(5).wrapping_add(77);
        f32::from(state) / 16.0 - 8.0
    };
    shapes.sort();
    let filled = shapes.into_iter().map(|(name, shape)| {
        let values = (0..shape.iter().product()).map(|_| next()).collect();
        (name, (shape, values))
    });
    filled.collect()
}

fn store(data_type: Dtype, values: &[f32]) -> Vec<u8> {
    match data_type {
        Dtype::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
        Dtype::I32 => values.iter().flat_map(|_| 1_i32.to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    let (elements, rest) = tensor.raw_data.as_chunks::<4>();
    assert!(rest.is_empty(), "{}", tensor.name);
    elements.iter().map(|&element| f32::from_le_bytes(element)).collect()
}

fn initializer<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|tensor| tensor.name == name).expect(name)
}

/// Name, element type and axes, free ones by name.
fn described(info: &ValueInfoProto) -> (String, i32, Vec<String>) {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).expect("every value is a tensor");
    let shape = tensor.shape.as_ref().expect("every shape is given");
    let axes = shape.dim.iter().map(|dim| match dim.value.as_ref().expect("every axis is given") {
        DimensionValue::DimValue(length) => length.to_string(),
        DimensionValue::DimParam(name) => name.clone(),
    });
    (info.name.clone(), tensor.elem_type, axes.collect())
}

#[test]
fn every_node_takes_what_is_there_already_and_every_output_is_computed() {
    assert_whole(&Encoder::plain().exported());
}

/// That values are defined once, before they are used, and that everything is used.
fn assert_whole(graph: &GraphProto) {
    let mut known: HashSet<&str> = HashSet::new();
    for name in graph.input.iter().map(|info| &info.name).chain(graph.initializer.iter().map(|tensor| &tensor.name)) {
        assert!(known.insert(name), "`{name}` is defined twice");
    }
    let mut used = HashSet::new();
    let mut node_names = HashSet::new();
    for node in &graph.node {
        assert!(node_names.insert(&node.name), "node `{}` is there twice", node.name);
        for input in &node.input {
            assert!(known.contains(input.as_str()), "`{}` takes `{input}`, which is not computed before", node.name);
            used.insert(input.as_str());
        }
        for output in &node.output {
            assert!(known.insert(output), "`{output}` is defined twice");
        }
    }
    used.extend(graph.output.iter().map(|info| info.name.as_str()));
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "nothing takes {unused:?}");
}

#[test]
fn inputs_and_outputs_are_the_promised_ones_in_order() {
    let graph = Encoder::plain().exported();
    let ids = |name: &str| (name.to_owned(), INT64, vec!["batch".to_owned(), "sequence".to_owned()]);
    let inputs: Vec<_> = graph.input.iter().map(described).collect();
    assert_eq!(inputs, [ids("input_ids"), ids("attention_mask"), ids("token_type_ids")]);
    let outputs: Vec<_> = graph.output.iter().map(described).collect();
    let output = |name: &str, axes: &[&str]| {
        (name.to_owned(), FLOAT, axes.iter().map(|&axis| axis.to_owned()).collect::<Vec<_>>())
    };
    let hidden_state = output("last_hidden_state", &["batch", "sequence", "8"]);
    assert_eq!(outputs, [hidden_state, output("sentence_embedding", &["batch", "8"])]);
}

#[test]
fn initializers_fill_their_shapes_and_hold_every_weight_but_the_pooler() {
    let graph = Encoder::plain().exported();
    let mut left = tensors();
    for tensor in &graph.initializer {
        let elements: i64 = tensor.dims.iter().product();
        let element_bytes = if tensor.data_type == FLOAT { 4 } else { 8 };
        assert_eq!(tensor.raw_data.len() as i64, elements * element_bytes, "{}", tensor.name);
        let Some((shape, values)) = left.remove(&tensor.name) else { continue };
        let is_dense = shape.len() == 2 && !tensor.name.contains("embeddings");
        let (shape, values) = if is_dense { transposed(&shape, &values) } else { (shape, values) };
        assert_eq!(tensor.dims, shape.iter().map(|&axis| axis as i64).collect::<Vec<_>>(), "{}", tensor.name);
        assert_eq!(floats(tensor), values, "{}", tensor.name);
    }
    let mut left: Vec<_> = left.into_keys().collect();
    left.sort();
    assert_eq!(left, ["pooler.dense.bias", "pooler.dense.weight"]);
    let positions: Vec<u8> = (0..16_i64).flat_map(i64::to_le_bytes).collect();
    assert_eq!(initializer(&graph, "position_ids").raw_data, positions);
}

fn transposed(shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let (rows, columns) = (shape[0], shape[1]);
    let turned = (0..rows * columns).map(|index| values[index % rows * columns + index / rows]);
    (vec![columns, rows], turned.collect())
}

#[test]
fn half_precision_and_prefixed_checkpoints_give_the_same_file() {
    let encoder = Encoder::plain();
    let report = encoder.export().expect("the encoder is valid");
    let expected = encoder.output();
    assert_eq!(
        report,
        ExportReport { layers: 2, hidden_size: 8, parameters: PARAMETERS as u64, bytes: expected.len() as u64 }
    );
    for (prefix, data_type) in [("", Dtype::F32), ("bert.", Dtype::F32), ("", Dtype::F16), ("bert.", Dtype::BF16)] {
        let other = Encoder::new(prefix, data_type, |_| {});
        assert_eq!(other.export().expect("the encoder is valid"), report);
        assert!(other.output() == expected, "prefix `{prefix}`, {data_type}");
    }
}

#[test]
fn an_older_export_is_replaced_only_by_a_whole_one() {
    let encoder = Encoder::plain();
    std::fs::write(encoder.path("model.onnx"), "older").expect("the folder is writable");
    let weights = std::fs::read(encoder.path("model.safetensors")).expect("it was written");
    std::fs::write(encoder.path("model.safetensors"), &weights[..weights.len() - 1]).expect("the folder is writable");
    encoder.export().expect_err("the weights are truncated");
    assert_eq!(encoder.output(), b"older");
    std::fs::write(encoder.path("model.safetensors"), weights).expect("the folder is writable");
    let report = encoder.export().expect("the encoder is whole again");
    assert_eq!(encoder.output().len() as u64, report.bytes);
}

/// Manifests pin digests of exported files: bytes that change without a new revision break every one of them.
#[test]
fn the_bytes_change_only_with_the_revision_of_the_graph() {
    let encoder = Encoder::plain();
    encoder.export().expect("the encoder is valid");
    assert_eq!(
        (GRAPH_REVISION, encoder.output_digest().as_str()),
        ("1", "be24352c21a0223ef86c166f4c953545e7f3ab70f79c5acb805bdc91d3b7ef9e")
    );
}
