//! A whole inference through `wasi_ephemeral_nn`.

use super::{ANSWERS, NAME, SHAPES, VALUES, name, print, values};
use crate::{Argument, Step, WITX};

/// The graph, as calls take it.
pub const GRAPH: Argument = Argument::Held(1);

/// The context, as calls take it.
pub const CONTEXT: Argument = Argument::Held(2);

/// Where the host writes them, and the length of an answer.
const GRAPH_AT: Argument = Argument::Scratch(4);
const CONTEXT_AT: Argument = Argument::Scratch(8);
const WRITTEN_AT: Argument = Argument::Scratch(12);

/// Where the records of both inputs go.
const RECORDS: [u16; 2] = [768, 800];

/// Numbers of the types of both inputs: u8 and i64.
const TYPES: [u32; 2] = [3, 5];

/// Loads a model by its name and makes a context of it.
#[must_use]
pub fn open(model: &str) -> Vec<Step> {
    let length = Argument::Number(model.len() as u32);
    vec![
        name(model),
        Step::call(WITX, "load_by_name", &[Argument::Scratch(NAME), length, GRAPH_AT]),
        Step::call(WITX, "init_execution_context", &[GRAPH, CONTEXT_AT]),
    ]
}

/// Writes the record of a tensor: where its shape lies and how many axes it has, its type, where its data lie and how long they
/// are.
#[must_use]
pub fn record(at: u16, shape: (Argument, u32), ty: u32, data: (Argument, u32)) -> Vec<Step> {
    let fields = [shape.0, Argument::Number(shape.1), Argument::Number(ty), data.0, Argument::Number(data.1)];
    let pokes = fields.into_iter().enumerate();
    pokes.map(|(index, value)| Step::Poke { offset: at + 4 * index as u16, value }).collect()
}

/// Sets both inputs.
#[must_use]
pub fn set_inputs() -> Vec<Step> {
    let mut steps = values();
    for (index, length) in [8, 32].into_iter().enumerate() {
        let shape = (Argument::Scratch(SHAPES[index]), 2);
        steps.extend(record(RECORDS[index], shape, TYPES[index], (Argument::Scratch(VALUES[index]), length)));
        let arguments = [CONTEXT, Argument::Number(index as u32), Argument::Scratch(RECORDS[index])];
        steps.push(Step::call(WITX, "set_input", &arguments));
    }
    steps
}

/// An inference whose outputs are printed. `compute` and `get` are the functions to use, which have names for answers at once
/// and for answers in steps.
#[must_use]
pub fn inference(model: &str, compute: &str, get: &str) -> Vec<Step> {
    let mut steps = [open(model), set_inputs()].concat();
    steps.push(Step::call(WITX, compute, &[CONTEXT]));
    for (index, length) in [8, 32].into_iter().enumerate() {
        let (index, buffer) = (Argument::Number(index as u32), Argument::Scratch(ANSWERS[index]));
        steps.push(Step::call(WITX, get, &[CONTEXT, index, buffer, Argument::Number(length), WRITTEN_AT]));
    }
    steps.extend(print());
    steps
}
