//! The model that an argument names: one of the host's, or one out of files.

use anyhow::{Context, Result, bail};

use crate::bindings::{self, ExecutionTarget, Graph, GraphEncoding, HostError};

/// Loads `name:NAME`, or `ENCODING:FILE,…` with the parts in the order that the encoding has them.
pub(crate) fn load(graph: &str) -> Result<Graph> {
    let (kind, place) =
        graph.split_once(':').with_context(|| format!("`{graph}` names no kind of graph; use name:NAME"))?;
    let encoding = match kind {
        "name" => return Ok(bindings::load_by_name(place).map_err(HostError::from)?),
        "openvino" => GraphEncoding::Openvino,
        "onnx" => GraphEncoding::Onnx,
        other => bail!("`{other}` is no kind of graph; use name, openvino or onnx"),
    };
    let read = |file: &str| std::fs::read(file).with_context(|| format!("cannot read {file}"));
    let parts: Vec<Vec<u8>> = place.split(',').map(read).collect::<Result<_>>()?;
    Ok(bindings::load(&parts, encoding, ExecutionTarget::Cpu).map_err(HostError::from)?)
}
