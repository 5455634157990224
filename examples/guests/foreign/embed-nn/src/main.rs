//! `embed-nn GRAPH IDS…`: embeds token ids, as a command written for any host of `wasi:nn` does.
//!
//! Its bindings come from the proposal's own WIT; it knows nothing of this host. `GRAPH` is `name:NAME` for a model that the
//! host has, or `onnx:FILE` or `openvino:XML,BIN` for one out of files. The vector is printed one number a line.
//!
//! Four modes try the host out instead: `embed-nn types` has tensors of every type handed back, `embed-nn errors [GRAPH]`
//! provokes errors, `embed-nn chain GRAPH INPUT TIMES` gives a model its own output again and again, and `embed-nn wasi` shows
//! arguments, variables, folders and input.

mod bindings;
mod chain;
mod embed;
mod errors;
mod graph;
mod surroundings;
mod types;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let result = match arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..] {
        ["types"] => types::print(),
        ["errors"] => errors::print(None),
        ["errors", graph] => errors::print(Some(graph)),
        ["chain", graph, input, times] => chain::print(graph, input, times),
        ["wasi", ..] => surroundings::print(),
        [graph, ref ids @ ..] if !ids.is_empty() => embed::print(graph, ids),
        _ => usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed-nn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> Result<()> {
    bail!(
        "usage: embed-nn GRAPH IDS…, or embed-nn types, or embed-nn errors [GRAPH], or embed-nn chain GRAPH INPUT TIMES, or embed-nn wasi …"
    )
}
