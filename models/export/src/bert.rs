//! The BERT encoder (Devlin et al. 2018, arXiv:1810.04805) as an ONNX graph, in the node patterns that runtimes fuse.
//!
//! In f32 and f16: operator set 12 and LayerNorm in its elementary operations, rather than a newer set, because ONNX Runtime fuses
//! attention only there; what that was measured to bring is in `docs/decisions/0002-onnx-export-in-rust.md`. In int8: set
//! 13, the first whose `DequantizeLinear` takes one scale a channel.

mod rounded;

use std::collections::HashMap;

use crate::ExportError;
use crate::calibration::Ranges;
use crate::config::BertConfig;
use crate::graph::{Axis, ElementType, Graph, Value, dim, int, ints};
use crate::pooling;
use crate::weights::{StoredTensor, Weights};
use rounded::Rounded;

/// How the large matrices are stored: those of the projections, and the table of words, which is half of a small model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MatrixForm<'a> {
    /// As f32.
    F32,
    /// As f16, as is everything else up to the last hidden state: for GPUs, whose runtimes fuse in it as they do in f32.
    F16,
    /// As bytes with one scale a row; the arithmetic stays the runtime's choice.
    Int8,
    /// As bytes that are multiplied with bytes: activations are rounded, too, by these ranges.
    Int8Static(&'a Ranges),
}

/// A graph, and what flows into its projections.
pub(crate) struct Built {
    pub(crate) graph: Graph,
    /// Name and channels of every activation that a projection takes, in the order of the graph.
    pub(crate) activations: Vec<(String, usize)>,
}

/// Builds the whole graph: encoder, pooling, normalisation.
///
/// # Errors
/// The first tensor that is missing or does not fit the configuration.
pub(crate) fn build(config: &BertConfig, weights: &Weights, form: MatrixForm<'_>) -> Result<Built, ExportError> {
    let mut encoder = Encoder::new(config, weights, form);
    let mut hidden = encoder.embeddings()?;
    // The embeddings found their tables, so the lengths in the configuration are lengths of a real file from here on.
    let mask = encoder.additive_mask();
    let attention = encoder.attention_constants();
    for layer in 0..config.layers() {
        let name = match layer + 1 == config.layers() && form != MatrixForm::F16 {
            true => LAST_HIDDEN_STATE.to_owned(),
            false => format!("encoder.layer.{layer}.output.LayerNorm"),
        };
        hidden = encoder.layer(layer, &hidden, &mask, &attention, name)?;
    }
    let Encoder { mut graph, inputs, activations, .. } = encoder;
    if form == MatrixForm::F16 {
        hidden = graph.node("Cast", LAST_HIDDEN_STATE, &[&hidden], vec![int("to", i64::from(ElementType::F32.code()))]);
    }
    pooling::append(&mut graph, &hidden, &inputs.attention_mask, SENTENCE_EMBEDDING);
    let width = Axis::Fixed(config.hidden_size());
    graph.output(LAST_HIDDEN_STATE, ElementType::F32, &[BATCH, SEQUENCE, width]);
    graph.output(SENTENCE_EMBEDDING, ElementType::F32, &[BATCH, width]);
    Ok(Built { graph, activations })
}

/// Makes the activations outputs, so that whoever runs the graph sees them.
pub(crate) fn expose(built: &mut Built) {
    for (name, channels) in &built.activations {
        built.graph.output(name, ElementType::F32, &[BATCH, SEQUENCE, Axis::Fixed(*channels)]);
    }
}

impl MatrixForm<'_> {
    /// The type in which the encoder computes.
    const fn element(self) -> ElementType {
        match self {
            Self::F16 => ElementType::F16,
            Self::F32 | Self::Int8 | Self::Int8Static(_) => ElementType::F32,
        }
    }

    /// A number in the formulas, in that type.
    fn scalar(self, graph: &mut Graph, name: &str, value: f32) -> Value {
        match self.element() {
            ElementType::F16 => graph.half_scalar(name, value),
            _ => graph.scalar(name, value),
        }
    }

    /// What is added to variances, if the type can say it: in f16 the models' own would be 0.
    fn epsilon(self, epsilon: f32) -> f32 {
        match self {
            Self::F16 => epsilon.max(SMALLEST_HALF),
            _ => epsilon,
        }
    }

    /// The lowest number of the type.
    fn lowest(self) -> f32 {
        match self {
            Self::F16 => LOWEST_HALF,
            _ => f32::MIN,
        }
    }

    /// The version of the ONNX operators used.
    const fn operator_set(self) -> i64 {
        match self {
            Self::F32 | Self::F16 => 12,
            Self::Int8 | Self::Int8Static(_) => 13,
        }
    }
}

/// 2⁻²⁴, the smallest f16 above 0.
const SMALLEST_HALF: f32 = 5.960_464_5e-8;
const LOWEST_HALF: f32 = -65_504.0;

const LAST_HIDDEN_STATE: &str = "last_hidden_state";
const SENTENCE_EMBEDDING: &str = "sentence_embedding";
const BATCH: Axis = Axis::Free("batch");
const SEQUENCE: Axis = Axis::Free("sequence");

/// The graph so far, and what all layers share.
struct Encoder<'a> {
    config: &'a BertConfig,
    weights: &'a Weights,
    form: MatrixForm<'a>,
    graph: Graph,
    inputs: Inputs,
    scalars: Scalars,
    activations: Vec<(String, usize)>,
    /// Activations that are bytes already, by name.
    rounded: HashMap<String, Rounded>,
}

/// The inputs of the graph, i64 `[batch, sequence]`.
struct Inputs {
    input_ids: Value,
    attention_mask: Value,
    token_type_ids: Value,
}

/// Numbers in the formulas.
struct Scalars {
    half: Value,
    one: Value,
    two: Value,
    sqrt_two: Value,
    epsilon: Value,
}

/// Constants of every attention block.
struct Attention {
    sqrt_head_size: Value,
    split_heads: Value,
    join_heads: Value,
}

impl<'a> Encoder<'a> {
    fn new(config: &'a BertConfig, weights: &'a Weights, form: MatrixForm<'a>) -> Self {
        let mut graph = Graph::new("bert", form.operator_set());
        let inputs = Inputs {
            input_ids: graph.input("input_ids", ElementType::I64, &[BATCH, SEQUENCE]),
            attention_mask: graph.input("attention_mask", ElementType::I64, &[BATCH, SEQUENCE]),
            token_type_ids: graph.input("token_type_ids", ElementType::I64, &[BATCH, SEQUENCE]),
        };
        let scalars = Scalars {
            half: form.scalar(&mut graph, "half", 0.5),
            one: form.scalar(&mut graph, "one", 1.0),
            two: form.scalar(&mut graph, "two", 2.0),
            sqrt_two: form.scalar(&mut graph, "sqrt_two", std::f32::consts::SQRT_2),
            epsilon: form.scalar(&mut graph, "epsilon", form.epsilon(config.layer_norm_epsilon())),
        };
        let (activations, rounded) = (Vec::new(), HashMap::new());
        Self { config, weights, form, graph, inputs, scalars, activations, rounded }
    }

    /// `[batch, sequence, hidden]`: word, position and token type, summed and normalised.
    fn embeddings(&mut self) -> Result<Value, ExportError> {
        let width = self.config.hidden_size();
        let words = self.matrix("embeddings.word_embeddings.weight", self.config.vocab_size(), width)?;
        let types = self.matrix("embeddings.token_type_embeddings.weight", self.config.type_vocab_size(), width)?;
        let positions = self.matrix("embeddings.position_embeddings.weight", self.config.max_positions(), width)?;
        let words = self.word_table(words);
        let types = self.small("embeddings.token_type_embeddings.weight", types);
        let positions = self.small("embeddings.position_embeddings.weight", positions);

        let position_ids = self.position_ids();
        let words = self.words(&words);
        let graph = &mut self.graph;
        let types = graph.node("Gather", "embeddings.types", &[&types, &self.inputs.token_type_ids], vec![]);
        let positions = graph.node("Gather", "embeddings.positions", &[&positions, &position_ids], vec![]);
        let sum = graph.node("Add", "embeddings.words_and_types", &[&words, &types], vec![]);
        let sum = graph.node("Add", "embeddings.sum", &[&sum, &positions], vec![]);
        self.layer_norm("embeddings.LayerNorm", &sum, "embeddings.LayerNorm".to_owned())
    }

    /// `[1, sequence]`: 0, 1, 2 and so on. A slice of a constant, because the length of a slice is not known when
    /// the graph is optimised: were it known, ONNX Runtime would also fuse what runs slower fused on CPU.
    fn position_ids(&mut self) -> Value {
        let graph = &mut self.graph;
        let positions = dim(self.config.max_positions());
        let table = graph.i64s("position_ids", &[1, self.config.max_positions()], 0..positions);
        let start = graph.i64s("position_ids.start", &[1], [0]);
        let axis = graph.i64s("position_ids.sequence_axis", &[1], [1]);
        let shape = graph.node("Shape", "position_ids.shape", &[&self.inputs.input_ids], vec![]);
        let length = graph.node("Gather", "position_ids.length", &[&shape, &axis], vec![int("axis", 0)]);
        graph.node("Slice", "position_ids.slice", &[&table, &start, &length, &axis], vec![])
    }

    /// `[batch, 1, 1, sequence]`: 0 where a token is, the lowest number where padding is. In f32 whatever the form: ONNX Runtime 1.31
    /// reads the constant of a mask that it wants to fuse as f32, and fails where it is another type.
    fn additive_mask(&mut self) -> Value {
        let (form, graph) = (self.form, &mut self.graph);
        let single = || vec![int("to", i64::from(ElementType::F32.code()))];
        let one = match form {
            MatrixForm::F16 => graph.scalar("mask.one", 1.0),
            _ => self.scalars.one.clone(),
        };
        let lowest = graph.scalar("mask.lowest", form.lowest());
        let rows = graph.unsqueeze("mask.rows", &self.inputs.attention_mask, &[1]);
        let heads = graph.unsqueeze("mask.heads", &rows, &[2]);
        let present = graph.node("Cast", "mask.present", &[&heads], single());
        let absent = graph.node("Sub", "mask.absent", &[&one, &present], vec![]);
        let additive = graph.node("Mul", "mask.additive", &[&absent, &lowest], vec![]);
        match form {
            MatrixForm::F16 => {
                let half = vec![int("to", i64::from(ElementType::F16.code()))];
                graph.node("Cast", "mask.half", &[&additive], half)
            }
            _ => additive,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "head sizes are far below 2^24")]
    fn attention_constants(&mut self) -> Attention {
        let (heads, head_size) = (dim(self.config.heads()), dim(self.config.head_size()));
        let width = dim(self.config.hidden_size());
        let head_size_root = (self.config.head_size() as f32).sqrt();
        Attention {
            sqrt_head_size: self.form.scalar(&mut self.graph, "sqrt_head_size", head_size_root),
            // Zeros keep the axis of the input: batch and sequence stay free.
            split_heads: self.graph.i64s("split_heads", &[4], [0, 0, heads, head_size]),
            join_heads: self.graph.i64s("join_heads", &[3], [0, 0, width]),
        }
    }

    /// One block: attention and feed-forward, each added to its input and normalised after. `output` names the result.
    fn layer(
        &mut self,
        index: usize,
        input: &Value,
        mask: &Value,
        constants: &Attention,
        output: String,
    ) -> Result<Value, ExportError> {
        let prefix = format!("encoder.layer.{index}");
        let (width, inner) = (self.config.hidden_size(), self.config.intermediate_size());
        let context = self.attention(&format!("{prefix}.attention"), input, mask, constants)?;

        let dense = self.dense(&format!("{prefix}.attention.output.dense"), &context, width, width)?;
        let sum = self.graph.node("Add", format!("{prefix}.attention.output.sum"), &[&dense, input], vec![]);
        let norm = format!("{prefix}.attention.output.LayerNorm");
        let attended = self.layer_norm(&norm, &sum, norm.clone())?;

        let dense = self.dense(&format!("{prefix}.intermediate.dense"), &attended, width, inner)?;
        let activated = self.gelu(&format!("{prefix}.intermediate.gelu"), &dense);
        let dense = self.dense(&format!("{prefix}.output.dense"), &activated, inner, width)?;
        let sum = self.graph.node("Add", format!("{prefix}.output.sum"), &[&dense, &attended], vec![]);
        self.layer_norm(&format!("{prefix}.output.LayerNorm"), &sum, output)
    }

    /// Softmax(Q Kᵀ / √head + mask) V over all heads, `[batch, sequence, hidden]`.
    fn attention(
        &mut self,
        prefix: &str,
        input: &Value,
        mask: &Value,
        constants: &Attention,
    ) -> Result<Value, ExportError> {
        let queries = self.heads(&format!("{prefix}.self.query"), input, constants, &[0, 2, 1, 3])?;
        let keys = self.heads(&format!("{prefix}.self.key"), input, constants, &[0, 2, 3, 1])?;
        let values = self.heads(&format!("{prefix}.self.value"), input, constants, &[0, 2, 1, 3])?;
        let graph = &mut self.graph;
        let scores = graph.node("MatMul", format!("{prefix}.scores"), &[&queries, &keys], vec![]);
        let scaled = graph.node("Div", format!("{prefix}.scaled"), &[&scores, &constants.sqrt_head_size], vec![]);
        let masked = graph.node("Add", format!("{prefix}.masked"), &[&scaled, mask], vec![]);
        let shares = graph.node("Softmax", format!("{prefix}.shares"), &[&masked], vec![int("axis", 3)]);
        let context = graph.node("MatMul", format!("{prefix}.context"), &[&shares, &values], vec![]);
        let turned =
            graph.node("Transpose", format!("{prefix}.turned"), &[&context], vec![ints("perm", &[0, 2, 1, 3])]);
        Ok(graph.node("Reshape", format!("{prefix}.joined"), &[&turned, &constants.join_heads], vec![]))
    }

    /// A projection cut into heads; `perm` orders batch, sequence, head and element.
    fn heads(
        &mut self,
        prefix: &str,
        input: &Value,
        constants: &Attention,
        perm: &[i64],
    ) -> Result<Value, ExportError> {
        let width = self.config.hidden_size();
        let projected = self.dense(prefix, input, width, width)?;
        let split =
            self.graph.node("Reshape", format!("{prefix}.split"), &[&projected, &constants.split_heads], vec![]);
        Ok(self.graph.node("Transpose", format!("{prefix}.heads"), &[&split], vec![ints("perm", perm)]))
    }

    /// x W + b.
    fn dense(&mut self, prefix: &str, input: &Value, from: usize, to: usize) -> Result<Value, ExportError> {
        if !self.activations.iter().any(|(name, _)| name == input.name()) {
            self.activations.push((input.name().to_owned(), from));
        }
        let (weight, bias) = (format!("{prefix}.weight"), format!("{prefix}.bias"));
        let stored = self.matrix(&weight, to, from)?;
        let stored_bias = self.weights.tensor(&bias, &[to])?;
        let (product, bias) = if let MatrixForm::Int8Static(ranges) = self.form {
            let product = self.rounded_product(ranges, prefix, input, &stored)?;
            (product, self.small(&bias, stored_bias))
        } else {
            let weight = self.matrix_value(&weight, stored, true);
            let bias = self.small(&bias, stored_bias);
            (self.graph.node("MatMul", format!("{prefix}.product"), &[input, &weight], vec![]), bias)
        };
        Ok(self.graph.node("Add", prefix, &[&product, &bias], vec![]))
    }

    /// x (1 + erf(x / √2)) / 2.
    fn gelu(&mut self, prefix: &str, input: &Value) -> Value {
        let (graph, scalars) = (&mut self.graph, &self.scalars);
        let scaled = graph.node("Div", format!("{prefix}.scaled"), &[input, &scalars.sqrt_two], vec![]);
        let erf = graph.node("Erf", format!("{prefix}.erf"), &[&scaled], vec![]);
        let gate = graph.node("Add", format!("{prefix}.gate"), &[&erf, &scalars.one], vec![]);
        let gated = graph.node("Mul", format!("{prefix}.gated"), &[input, &gate], vec![]);
        graph.node("Mul", prefix, &[&gated, &scalars.half], vec![])
    }

    /// (x − mean) / √(variance + ε) · weight + bias, over the last axis. `output` names the result.
    fn layer_norm(&mut self, prefix: &str, input: &Value, output: String) -> Result<Value, ExportError> {
        let width = self.config.hidden_size();
        let (weight, bias) = (format!("{prefix}.weight"), format!("{prefix}.bias"));
        let stored = self.weights.tensor(&weight, &[width])?;
        let stored_bias = self.weights.tensor(&bias, &[width])?;
        let weight = self.small(&weight, stored);
        let bias = self.small(&bias, stored_bias);

        let (graph, scalars) = (&mut self.graph, &self.scalars);
        let last = || vec![ints("axes", &[-1]), int("keepdims", 1)];
        let mean = graph.node("ReduceMean", format!("{prefix}.mean"), &[input], last());
        let centred = graph.node("Sub", format!("{prefix}.centred"), &[input, &mean], vec![]);
        let squares = graph.node("Pow", format!("{prefix}.squares"), &[&centred, &scalars.two], vec![]);
        let variance = graph.node("ReduceMean", format!("{prefix}.variance"), &[&squares], last());
        let guarded = graph.node("Add", format!("{prefix}.guarded"), &[&variance, &scalars.epsilon], vec![]);
        let deviation = graph.node("Sqrt", format!("{prefix}.deviation"), &[&guarded], vec![]);
        let unit = graph.node("Div", format!("{prefix}.unit"), &[&centred, &deviation], vec![]);
        let scaled = graph.node("Mul", format!("{prefix}.scaled"), &[&unit, &weight], vec![]);
        Ok(graph.node("Add", output, &[&scaled, &bias], vec![]))
    }

    /// A large matrix in the graph, in the form that was asked for.
    fn matrix_value(&mut self, name: &str, stored: StoredTensor, is_transposed: bool) -> Value {
        match (self.form, is_transposed) {
            (MatrixForm::Int8, _) => self.graph.quantized_weight(name, &stored, is_transposed),
            (MatrixForm::F16, _) => self.graph.half_weight(name, stored, is_transposed),
            (_, true) => self.graph.transposed_weight(name, stored),
            (_, false) => self.graph.weight(name, stored),
        }
    }

    /// A weight that is small enough to stay in the type that is computed in.
    fn small(&mut self, name: &str, stored: StoredTensor) -> Value {
        match self.form.element() {
            ElementType::F16 => self.graph.half_weight(name, stored, false),
            _ => self.graph.weight(name, stored),
        }
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<StoredTensor, ExportError> {
        self.weights.tensor(name, &[rows, columns])
    }
}
