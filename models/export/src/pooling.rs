//! Mean of the hidden states under the mask, at unit length, as sentence-transformers computes it.

use crate::graph::{ElementType, Graph, Value, int, ints};

/// Least number of tokens that a sum is divided by: a row without any gives zeros, not NaN.
const TOKENS_FLOOR: f32 = 1e-9;
/// Least length that an embedding is divided by.
const LENGTH_FLOOR: f32 = 1e-12;

/// Appends the computation of `output`, `[batch, hidden]`, from `hidden`, `[batch, sequence, hidden]`, and the i64 mask.
pub(crate) fn append(graph: &mut Graph, hidden: &Value, attention_mask: &Value, output: &str) {
    let tokens_floor = graph.scalar("pooling.tokens_floor", TOKENS_FLOOR);
    let length_floor = graph.scalar("pooling.length_floor", LENGTH_FLOOR);

    let columns = graph.unsqueeze("pooling.columns", attention_mask, &[2]);
    let mask = graph.node("Cast", "pooling.mask", &[&columns], vec![int("to", i64::from(ElementType::F32.code()))]);
    let masked = graph.node("Mul", "pooling.masked", &[hidden, &mask], vec![]);
    let sum = graph.reduce_sum("pooling.sum", &masked, &[1]);
    let tokens = graph.reduce_sum("pooling.tokens", &mask, &[1]);
    let tokens = graph.node("Max", "pooling.divisor", &[&tokens, &tokens_floor], vec![]);
    let mean = graph.node("Div", "pooling.mean", &[&sum, &tokens], vec![]);

    let over_hidden = vec![ints("axes", &[-1]), int("keepdims", 1)];
    let length = graph.node("ReduceL2", "pooling.length", &[&mean], over_hidden);
    let length = graph.node("Max", "pooling.length_divisor", &[&length, &length_floor], vec![]);
    graph.node("Div", output, &[&mean, &length], vec![]);
}
