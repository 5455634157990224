//! `image-witx GRAPH IMAGE WIDTH HEIGHT [LABELS]`: classifies a picture with a model that takes floats.
//!
//! Written against the registry's crate `wasi-nn` alone, as guests of other hosts are. `GRAPH` is `name:NAME` for a model that
//! the host has, or `openvino:XML,BIN`, `onnx:FILE`, `tensorflowlite:FILE` for one out of files. The model's input is `f32`,
//! `[1, 3, HEIGHT, WIDTH]`, from 0 to 1; its output is one `f32` a class. The five best classes are printed, one a line:
//! `INDEX SCORE [LABEL]`.

#![forbid(unsafe_code)]

mod graph;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use pictures::{Picture, best};
use wasi_nn::TensorType;

/// More classes than image models have; the interface does not tell how many there are.
const MAX_CLASSES: usize = 1 << 16;

/// Classes that are printed.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-witx: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (graph, image, width, height, labels) = match arguments {
        [graph, image, width, height] => (graph, image, width, height, None),
        [graph, image, width, height, labels] => (graph, image, width, height, Some(labels)),
        _ => bail!("usage: image-witx GRAPH IMAGE WIDTH HEIGHT [LABELS]"),
    };
    let (width, height) = (side(width)?, side(height)?);
    let labels = labels.map(std::fs::read_to_string).transpose().context("cannot read the labels")?;
    let file = std::fs::read(image).with_context(|| format!("cannot read {image}"))?;
    let picture = Picture::decode(&file)?.resized(width, height);

    let scores = classify(graph, &picture)?;
    for (index, score) in best(&scores, SHOWN) {
        match labels.as_ref().and_then(|labels| labels.lines().nth(index)) {
            Some(label) => println!("{index} {score:.6} {label}"),
            None => println!("{index} {score:.6}"),
        }
    }
    Ok(())
}

fn side(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(side) if side > 0 => Ok(side),
        _ => bail!("`{text}` is no size of a picture; give the pixels that the model takes"),
    }
}

/// One score a class.
fn classify(graph: &str, picture: &Picture) -> Result<Vec<f32>> {
    let graph = graph::load(graph)?;
    let mut context = graph.init_execution_context().context("cannot start the model")?;
    let shape = [1, 3, picture.height(), picture.width()];
    context.set_input(0, TensorType::F32, &shape, picture.planes()).context("cannot set the input")?;
    context.compute().context("cannot compute")?;
    let mut scores = vec![0.0_f32; MAX_CLASSES];
    let size_bytes = context.get_output(0, &mut scores).context("cannot read the output")?;
    scores.truncate(size_bytes / size_of::<f32>());
    Ok(scores)
}
