//! The model that an argument names: one of the host's, or one out of files.

use anyhow::{Context, Result, bail};
use wasi_nn::{ExecutionTarget, Graph, GraphBuilder, GraphEncoding};

/// Loads `name:NAME`, or `ENCODING:FILE,…` with the parts in the order that the encoding has them.
pub(crate) fn load(graph: &str) -> Result<Graph> {
    let (kind, place) =
        graph.split_once(':').with_context(|| format!("`{graph}` names no kind of graph; use name:NAME"))?;
    let encoding = match kind {
        "name" => {
            let builder = GraphBuilder::new(GraphEncoding::Autodetec, ExecutionTarget::CPU);
            return builder.build_from_cache(place).with_context(|| format!("cannot load model `{place}`"));
        }
        "openvino" => GraphEncoding::Openvino,
        "onnx" => GraphEncoding::Onnx,
        "tensorflowlite" => GraphEncoding::TensorflowLite,
        other => bail!("`{other}` is no kind of graph; use name, openvino, onnx or tensorflowlite"),
    };
    let files: Vec<&str> = place.split(',').collect();
    let builder = GraphBuilder::new(encoding, ExecutionTarget::CPU);
    builder.build_from_files(&files).with_context(|| format!("cannot load a model out of {place}"))
}
