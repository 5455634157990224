//! Calls that the host must refuse, and what it says about each.

use anyhow::Result;

use crate::bindings::{Error, ExecutionTarget, GraphEncoding, HostError, Tensor, TensorType, load, load_by_name};
use crate::embed::inputs;
use crate::graph;

/// The tokens of an empty text, which every model like BERT takes.
const IDS: [i64; 2] = [101, 102];

/// Prints `CODE: MESSAGE` for each call in the order below, or `accepted: CALL`. With a graph it also computes wrongly.
pub(crate) fn print(graph: Option<&str>) -> Result<()> {
    let builder = |bytes: &[u8]| vec![bytes.to_vec()];
    report("an unknown name", load_by_name("no-such-graph"));
    report("an encoding that nobody has", load(&builder(b"model"), GraphEncoding::Ggml, ExecutionTarget::Cpu));
    report("bytes that are no model", load(&builder(b"no model"), GraphEncoding::Onnx, ExecutionTarget::Cpu));
    report("a model without a byte", load(&[], GraphEncoding::Onnx, ExecutionTarget::Cpu));
    let Some(graph) = graph else { return Ok(()) };

    let context = graph::load(graph)?.init_execution_context().map_err(HostError::from)?;
    let mut short = inputs(&IDS);
    short[0].1 = Tensor::new(&[1, 2], TensorType::I64, &[0; 15]);
    report("15 bytes for 16", context.compute(short));
    let mut floats = inputs(&IDS);
    floats[0].1 = Tensor::new(&[1, 2], TensorType::Fp32, &[0; 8]);
    report("tokens of another type", context.compute(floats));
    let mut unknown = inputs(&IDS);
    unknown[0].0 = "no-such-input".to_owned();
    report("an input that the model has not", context.compute(unknown));
    report("no input", context.compute(Vec::new()));
    Ok(())
}

fn report<T>(call: &str, result: Result<T, Error>) {
    match result {
        Ok(_) => println!("accepted: {call}"),
        Err(error) => println!("{}", HostError::from(error)),
    }
}
