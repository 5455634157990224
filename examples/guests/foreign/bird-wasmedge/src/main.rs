//! `bird-wasmedge GRAPH IMAGE LABELS`: names the bird in a picture, as a guest written for WasmEdge does.
//!
//! Written against the registry's crate `wasmedge-wasi-nn` alone. `GRAPH` is `name:NAME` for a model that the host has, or
//! `tensorflowlite:FILE`. The model takes bytes, `[1, 224, 224, 3]`, and answers one byte a class. The five best classes are
//! printed, one a line: `INDEX SCORE LABEL`. `bird-wasmedge extras NAME IMAGE` calls what WasmEdge added to the interface.

#![forbid(unsafe_code)]

mod extras;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use pictures::{Picture, best};
use wasmedge_wasi_nn::{ExecutionTarget, Graph, GraphBuilder, GraphEncoding, GraphExecutionContext, TensorType};

/// Width and height of the model's input.
const SIDE: usize = 224;

/// More classes than image models have; the interface does not tell how many there are.
const MAX_CLASSES: usize = 1 << 16;

/// Classes that are printed.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["extras", name, image] => read_picture(image).and_then(|picture| extras::exercise(name, &picture)),
        [graph, image, labels] => classify(graph, image, labels),
        _ => Err(anyhow::anyhow!("usage: bird-wasmedge GRAPH IMAGE LABELS, or bird-wasmedge extras NAME IMAGE")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bird-wasmedge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn classify(graph: &str, image: &str, labels: &str) -> Result<()> {
    let labels = std::fs::read_to_string(labels).with_context(|| format!("cannot read {labels}"))?;
    let picture = read_picture(image)?;
    let graph = load(graph)?;
    let mut context = graph.init_execution_context().context("cannot start the model")?;
    set_picture(&mut context, &picture).context("cannot set the input")?;
    context.compute().context("cannot compute")?;
    let mut scores = vec![0_u8; MAX_CLASSES];
    let size_bytes = context.get_output(0, &mut scores).context("cannot read the output")?;
    scores.truncate(size_bytes);
    for (index, score) in best(&scores, SHOWN) {
        let label = labels.lines().nth(index).with_context(|| format!("the labels end before class {index}"))?;
        println!("{index} {score} {label}");
    }
    Ok(())
}

/// The picture of a file in the size of the model.
fn read_picture(image: &str) -> Result<Picture> {
    let file = std::fs::read(image).with_context(|| format!("cannot read {image}"))?;
    Ok(Picture::decode(&file)?.resized(SIDE, SIDE))
}

fn load(graph: &str) -> Result<Graph> {
    let builder = GraphBuilder::new(GraphEncoding::TensorflowLite, ExecutionTarget::CPU);
    let loaded = match graph.split_once(':') {
        Some(("name", name)) => builder.build_from_cache(name),
        Some(("tensorflowlite", file)) => builder.build_from_files([file]),
        _ => bail!("`{graph}` names no kind of graph; use name:NAME or tensorflowlite:FILE"),
    };
    loaded.with_context(|| format!("cannot load {graph}"))
}

fn set_picture(context: &mut GraphExecutionContext, picture: &Picture) -> Result<(), wasmedge_wasi_nn::Error> {
    context.set_input(0, TensorType::U8, &[1, picture.height(), picture.width(), 3], picture.rgb())
}
