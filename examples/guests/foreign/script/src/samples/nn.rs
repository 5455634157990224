//! A whole inference through `wasi:nn`.
//!
//! A result is a word that is 0 for success, and a word or two behind it with what was asked for, or an error.

use super::{ANSWERS, NAME, SHAPES, VALUES, name, print, values};
use crate::{Argument, NN, Step};

/// Where results of calls are written.
const GRAPH_AT: Argument = Argument::Scratch(4);
const GRAPH: Argument = Argument::Held(2);
const CONTEXT_AT: Argument = Argument::Scratch(12);
const CONTEXT: Argument = Argument::Held(4);
const COMPUTED_AT: Argument = Argument::Scratch(20);
const COMPUTED: Argument = Argument::Held(6);

/// Where the handles of both inputs are kept.
const TENSORS: [u16; 2] = [32, 36];
const HELD: [Argument; 2] = [Argument::Held(8), Argument::Held(9)];

/// Where the names of both inputs go, and the list that names them.
const NAMES: [(u16, &str); 2] = [(288, "bytes"), (304, "numbers")];
const LIST: u16 = 832;

/// Where the list of outputs is copied to: three words each, of which the last one is the tensor.
const OUTPUTS: u16 = 40;
const ANSWERED: [Argument; 2] = [Argument::Held(12), Argument::Held(15)];

/// Numbers of the types of both inputs: u8 and i64.
const TYPES: [u32; 2] = [4, 6];

/// Constructs a tensor and keeps its handle at `at`.
#[must_use]
pub fn construct(at: u16, shape: (Argument, u32), ty: u32, data: (Argument, u32)) -> [Step; 2] {
    let (rank, length) = (Argument::Number(shape.1), Argument::Number(data.1));
    let arguments = [shape.0, rank, Argument::Number(ty), data.0, length];
    [Step::call(NN, "[constructor]tensor", &arguments), Step::Poke { offset: at, value: Argument::Held(0) }]
}

/// Writes an entry of the list of inputs.
#[must_use]
pub fn list(index: u16, name: (Argument, u32), tensor: Argument) -> [Step; 3] {
    let at = LIST + 12 * index;
    [
        Step::Poke { offset: at, value: name.0 },
        Step::Poke { offset: at + 4, value: Argument::Number(name.1) },
        Step::Poke { offset: at + 8, value: tensor },
    ]
}

/// Computes the first `count` entries of the list.
#[must_use]
pub fn compute(count: u32) -> Step {
    let arguments = [CONTEXT, Argument::Scratch(LIST), Argument::Number(count), COMPUTED_AT];
    Step::call(NN, "[method]graph-execution-context.compute", &arguments)
}

/// An inference whose outputs are printed.
#[must_use]
pub fn inference(model: &str) -> Vec<Step> {
    let length = Argument::Number(model.len() as u32);
    let mut steps = vec![
        name(model),
        Step::call(NN, "load-by-name", &[Argument::Scratch(NAME), length, GRAPH_AT]),
        Step::call(NN, "[method]graph.init-execution-context", &[GRAPH, CONTEXT_AT]),
    ];
    steps.extend(values());
    for (index, length) in [8, 32].into_iter().enumerate() {
        let (offset, name) = NAMES[index];
        let shape = (Argument::Scratch(SHAPES[index]), 2);
        let data = (Argument::Scratch(VALUES[index]), length);
        steps.push(Step::Write { offset, bytes: name.as_bytes().to_vec() });
        steps.extend(construct(TENSORS[index], shape, TYPES[index], data));
        steps.extend(list(index as u16, (Argument::Scratch(offset), name.len() as u32), HELD[index]));
    }
    steps.push(compute(2));
    steps.push(Step::Fetch { offset: OUTPUTS, address: COMPUTED, length: 24 });
    // A list is where it lies and how long it is.
    let (data_at, data) = (Argument::Scratch(64), Argument::Held(16));
    for (index, length) in [8, 32].into_iter().enumerate() {
        steps.push(Step::call(NN, "[method]tensor.data", &[ANSWERED[index], data_at]));
        steps.push(Step::Fetch { offset: ANSWERS[index], address: data, length });
    }
    steps.extend(print());
    steps
}
