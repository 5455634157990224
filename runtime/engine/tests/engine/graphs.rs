//! Small models, made on the spot, that show what a proof must find: good ones, and ones that must be refused.

use std::path::{Path, PathBuf};

use wisp_model_export::graph::{Axis, ElementType, Graph, Value, int, ints};

/// Tokens in the vocabulary.
const VOCABULARY: usize = 16;

/// Length of a vector.
const WIDTH: usize = 4;

/// What a model does that it should, or should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// The mean of the rows that the mask lets in.
    Good,
    /// Takes the mean over all rows of the batch away from each.
    AttendsOverTheBatch,
    /// Takes the mean over padding as well.
    IgnoresTheMask,
    /// Rounds to 256 steps between the smallest and the largest value of the whole batch.
    QuantisesPerTensor,
    /// Has an operator that nobody implements.
    UnknownOperator,
    /// Answers with NaN.
    NotANumber,
}

/// Writes a model that takes `input_ids` and `attention_mask` and gives `out`, f32 `[batch, 4]`.
pub(crate) fn write(folder: &Path, behaviour: Behaviour) -> PathBuf {
    let mut graph = Graph::new("probe", 11);
    let axes = [Axis::Free("batch"), Axis::Free("sequence")];
    let ids = graph.input("input_ids", ElementType::I64, &axes);
    let mask = graph.input("attention_mask", ElementType::I64, &axes);
    let table = table(&mut graph);
    let words = graph.node("Gather", "words", &[&table, &ids], vec![]);
    let words = match behaviour {
        Behaviour::QuantisesPerTensor => quantised(&mut graph, &words),
        _ => words,
    };
    let mean = match behaviour {
        Behaviour::IgnoresTheMask => {
            let zero = graph.scalar("zero", 0.0);
            let present = graph.node("Cast", "present", &[&mask], vec![int("to", 1)]);
            let nothing = graph.node("Mul", "nothing", &[&present, &zero], vec![]);
            let nothing = graph.unsqueeze("nothing.wide", &nothing, &[2]);
            let all = graph.node("Add", "all", &[&words, &nothing], vec![]);
            graph.node("ReduceMean", "mean", &[&all], vec![ints("axes", &[1]), int("keepdims", 0)])
        }
        _ => masked_mean(&mut graph, &words, &mask),
    };
    finish(&mut graph, behaviour, &mean);
    graph.output("out", ElementType::F32, &[Axis::Free("batch"), Axis::Fixed(WIDTH)]);
    let file = folder.join("model.onnx");
    graph.write(&file).expect("the folder is writable");
    file
}

/// Word vectors of about 1, but for the padding token, which is large: whoever looks at padding shows it.
fn table(graph: &mut Graph) -> Value {
    let value = |index: usize| match index / WIDTH {
        0 => 50.0,
        word => ((word * 7 + index % WIDTH * 3) % 11) as f32 / 5.0 - 1.0,
    };
    let values: Vec<f32> = (0..VOCABULARY * WIDTH).map(value).collect();
    graph.f32s("table", &[VOCABULARY, WIDTH], &values)
}

fn masked_mean(graph: &mut Graph, words: &Value, mask: &Value) -> Value {
    let present = graph.node("Cast", "present", &[mask], vec![int("to", 1)]);
    let wide = graph.unsqueeze("present.wide", &present, &[2]);
    let kept = graph.node("Mul", "kept", &[words, &wide], vec![]);
    let sum = graph.reduce_sum("sum", &kept, &[1]);
    let count = graph.reduce_sum("count", &wide, &[1]);
    let least = graph.scalar("least", 1e-9);
    let count = graph.node("Max", "count.least", &[&count, &least], vec![]);
    graph.node("Div", "mean", &[&sum, &count], vec![])
}

fn quantised(graph: &mut Graph, words: &Value) -> Value {
    let [bytes, scale, zero] =
        graph.node_with_outputs("DynamicQuantizeLinear", "quantise", ["bytes", "scale", "zero"], &[words], vec![]);
    graph.node("DequantizeLinear", "dequantised", &[&bytes, &scale, &zero], vec![])
}

fn finish(graph: &mut Graph, behaviour: Behaviour, mean: &Value) {
    match behaviour {
        Behaviour::AttendsOverTheBatch => {
            let all = graph.node("ReduceMean", "all", &[mean], vec![ints("axes", &[0]), int("keepdims", 1)]);
            let half = graph.scalar("half", 0.5);
            let all = graph.node("Mul", "all.half", &[&all, &half], vec![]);
            graph.node("Sub", "out", &[mean, &all], vec![]);
        }
        Behaviour::UnknownOperator => {
            graph.node("Frobnicate", "out", &[mean], vec![]);
        }
        Behaviour::NotANumber => {
            let below = graph.scalar("below", -1000.0);
            let negative = graph.node("Add", "negative", &[mean, &below], vec![]);
            graph.node("Sqrt", "out", &[&negative], vec![]);
        }
        _ => {
            graph.node("Identity", "out", &[mean], vec![]);
        }
    }
}
