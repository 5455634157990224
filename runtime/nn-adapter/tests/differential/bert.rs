//! all-MiniLM-L6-v2 as OpenVINO IR, out of its safetensors: a BERT encoder (Devlin et al. 2018, arXiv:1810.04805) in f32.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Metadata;

use crate::ir::{Element, Graph, Ir, Value};

const LAYERS: usize = 6;
const HEADS: i64 = 12;
const HIDDEN: i64 = 384;
const HEAD: i64 = HIDDEN / HEADS;

/// The encoder: ids, mask and types, i64 `[rows, length]`, to `last_hidden_state`, f32 `[rows, length, 384]`.
pub(crate) fn minilm(safetensors: &Path) -> Ir {
    let mut file = std::fs::read(safetensors).expect("the model was fetched");
    let (header_bytes, metadata) = SafeTensors::read_metadata(&file).expect("the model was verified");
    // What is left is the file of weights: the format's own eight bytes go with the header.
    file.drain(..header_bytes + 8);
    Encoder { graph: Graph::over(file), metadata }.build()
}

struct Encoder {
    graph: Graph,
    metadata: Metadata,
}

impl Encoder {
    fn build(mut self) -> Ir {
        let [ids, mask, types] = ["input_ids", "attention_mask", "token_type_ids"]
            .map(|name| self.graph.input(name, Element::I64, &[-1, -1]));
        let mut hidden = self.embeddings(ids, types);
        let mask = self.additive_mask(mask);
        for layer in 0..LAYERS {
            hidden = self.layer(&format!("encoder.layer.{layer}"), hidden, mask);
        }
        self.graph.output("last_hidden_state", hidden);
        self.graph.finish()
    }

    fn weight(&mut self, name: &str) -> Value {
        let info = self.metadata.info(name).unwrap_or_else(|| panic!("the model has no tensor {name}"));
        let (start, end) = info.data_offsets;
        self.graph.stored(Element::F32, &info.shape, start..end)
    }

    /// Word, position and type, summed and normalised.
    fn embeddings(&mut self, ids: Value, types: Value) -> Value {
        let (zero, one) = (self.graph.integer(0), self.graph.integer(1));
        let shape = self.graph.op("ShapeOf", "opset3", "output_type=\"i64\"", &[ids]);
        let length = self.graph.op("Gather", "opset8", "batch_dims=\"0\"", &[shape, one, zero]);
        let positions = self.graph.op("Range", "opset4", "output_type=\"i64\"", &[zero, length, one]);
        let mut sum = None;
        for (table, at) in [("word", ids), ("position", positions), ("token_type", types)] {
            let table = self.weight(&format!("embeddings.{table}_embeddings.weight"));
            let found = self.graph.op("Gather", "opset8", "batch_dims=\"0\"", &[table, at, zero]);
            sum = Some(match sum {
                None => found,
                Some(sum) => self.graph.with("Add", sum, found),
            });
        }
        self.normalised("embeddings.LayerNorm", sum.expect("three tables were added"))
    }

    /// `[rows, 1, 1, length]`: 0 where there is a token, and what no score comes up against where there is none.
    fn additive_mask(&mut self, mask: Value) -> Value {
        let mask = self.graph.op_to(Element::F32, "Convert", "opset1", "destination_type=\"f32\"", &[mask]);
        let axes = self.graph.integers(&[1, 2]);
        let mask = self.graph.op("Unsqueeze", "opset1", "", &[mask, axes]);
        let (one, lowest) = (self.graph.floats(&[1], &[1.0]), self.graph.floats(&[1], &[f32::MIN]));
        let absent = self.graph.with("Subtract", one, mask);
        self.graph.with("Multiply", absent, lowest)
    }

    fn layer(&mut self, name: &str, hidden: Value, mask: Value) -> Value {
        let attended = self.attention(&format!("{name}.attention.self"), hidden, mask);
        let attended = self.dense(&format!("{name}.attention.output.dense"), attended);
        let sum = self.graph.with("Add", attended, hidden);
        let hidden = self.normalised(&format!("{name}.attention.output.LayerNorm"), sum);

        let wide = self.dense(&format!("{name}.intermediate.dense"), hidden);
        let wide = self.graph.op("Gelu", "opset7", "approximation_mode=\"ERF\"", &[wide]);
        let narrow = self.dense(&format!("{name}.output.dense"), wide);
        let sum = self.graph.with("Add", narrow, hidden);
        self.normalised(&format!("{name}.output.LayerNorm"), sum)
    }

    fn attention(&mut self, name: &str, hidden: Value, mask: Value) -> Value {
        let [query, key, value] = ["query", "key", "value"].map(|part| {
            let projected = self.dense(&format!("{name}.{part}"), hidden);
            let split = self.graph.reshaped(projected, &[0, 0, HEADS, HEAD]);
            self.swapped(split)
        });
        let scores = self.graph.product(query, key, true);
        let scale = self.graph.floats(&[1], &[1.0 / (HEAD as f32).sqrt()]);
        let scores = self.graph.with("Multiply", scores, scale);
        let scores = self.graph.with("Add", scores, mask);
        let shares = self.graph.op("SoftMax", "opset1", "axis=\"3\"", &[scores]);
        let mixed = self.graph.product(shares, value, false);
        let joined = self.swapped(mixed);
        self.graph.reshaped(joined, &[0, 0, HIDDEN])
    }

    /// Heads before tokens, or back.
    fn swapped(&mut self, value: Value) -> Value {
        let order = self.graph.integers(&[0, 2, 1, 3]);
        self.graph.op("Transpose", "opset1", "", &[value, order])
    }

    /// A projection; its matrix has a row for each output.
    fn dense(&mut self, name: &str, value: Value) -> Value {
        let (matrix, bias) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        let product = self.graph.product(value, matrix, true);
        self.graph.with("Add", product, bias)
    }

    fn normalised(&mut self, name: &str, value: Value) -> Value {
        let (scale, shift) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        let axis = self.graph.integers(&[-1]);
        let data = "eps=\"1e-12\" normalize_variance=\"true\" eps_mode=\"inside_sqrt\"";
        let even = self.graph.op("MVN", "opset6", data, &[value, axis]);
        let scaled = self.graph.with("Multiply", even, scale);
        self.graph.with("Add", scaled, shift)
    }
}
