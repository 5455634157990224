//! Token ids to a vector: one row through the model, pooled here if the model does not pool.

use anyhow::{Context, Result, bail, ensure};

use crate::bindings::{HostError, Tensor, TensorType};
use crate::graph;

/// The output of models that pool themselves.
const POOLED: &str = "sentence_embedding";

/// Embeds the ids and prints the vector, scaled to length 1, one number a line.
pub(crate) fn print(graph: &str, ids: &[&str]) -> Result<()> {
    let ids = ids.iter().map(|id| id.parse().with_context(|| format!("`{id}` is no token id")));
    let ids: Vec<i64> = ids.collect::<Result<_>>()?;
    let context = graph::load(graph)?.init_execution_context().map_err(HostError::from)?;
    let outputs = context.compute(inputs(&ids)).map_err(HostError::from)?;

    let pooled = outputs.iter().find(|(name, _)| name == POOLED);
    let (name, tensor) = pooled.or(outputs.first()).context("the model has no output")?;
    let vector = pool(tensor).with_context(|| format!("output `{name}` is no embedding"))?;
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in vector {
        println!("{:.8}", value / length);
    }
    Ok(())
}

/// The inputs of models like BERT for one row without padding.
pub(crate) fn inputs(ids: &[i64]) -> Vec<(String, Tensor)> {
    let row = |name: &str, values: &[i64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        // More tokens than u32 counts do not fit into the memory of a guest.
        (name.to_owned(), Tensor::new(&[1, values.len() as u32], TensorType::I64, &bytes))
    };
    vec![row("input_ids", ids), row("attention_mask", &vec![1; ids.len()]), row("token_type_ids", &vec![0; ids.len()])]
}

/// The vector of `[1, dimensions]`, or the mean over the tokens of `[1, tokens, dimensions]`.
fn pool(tensor: &Tensor) -> Result<Vec<f32>> {
    let (shape, ty) = (tensor.dimensions(), tensor.ty());
    ensure!(ty == TensorType::Fp32, "it is {ty:?}");
    let dimensions = match shape[..] {
        [1, dimensions] | [1, _, dimensions] if dimensions > 0 => dimensions as usize,
        _ => bail!("its shape is {shape:?}"),
    };
    let bytes = tensor.data();
    let (values, rest) = bytes.as_chunks::<4>();
    ensure!(!values.is_empty() && rest.is_empty() && values.len() % dimensions == 0, "it has {} bytes", bytes.len());
    let rows = values.len() / dimensions;
    let mut mean = vec![0.0; dimensions];
    for (index, &value) in values.iter().enumerate() {
        mean[index % dimensions] += f32::from_le_bytes(value) / rows as f32;
    }
    Ok(mean)
}
