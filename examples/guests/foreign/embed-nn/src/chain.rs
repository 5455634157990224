//! A tensor through a model several times: the output of one inference is the input of the next, by its handle alone.

use anyhow::{Context, Result};

use crate::bindings::{HostError, Tensor, TensorType};
use crate::graph;

/// Elements of the tensor.
const LENGTH: u16 = 1000;

/// Sends the numbers from 0 to 999 through the model, the name of whose only input is `input`, and prints their sum afterwards.
pub(crate) fn print(graph: &str, input: &str, times: &str) -> Result<()> {
    let times: u32 = times.parse().with_context(|| format!("`{times}` is no number of times"))?;
    let context = graph::load(graph)?.init_execution_context().map_err(HostError::from)?;
    let bytes: Vec<u8> = (0..LENGTH).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    let mut tensor = Tensor::new(&[1, u32::from(LENGTH)], TensorType::Fp32, &bytes);
    for _ in 0..times {
        let outputs = context.compute(vec![(input.to_owned(), tensor)]).map_err(HostError::from)?;
        tensor = outputs.into_iter().next().context("the model has no output")?.1;
    }
    let bytes = tensor.data();
    let (values, _) = bytes.as_chunks::<4>();
    println!("{}", values.iter().map(|&value| f32::from_le_bytes(value)).sum::<f32>());
    Ok(())
}
