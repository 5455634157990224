//! Scripts that are right, to begin from: a whole inference through each interface.
//!
//! They are for a model with two inputs that gives both back: `bytes`, u8 `[rows, 4]`, and `numbers`, i64 `[rows, 2]` from 0 to
//! 99. Results of calls lie in the words of the scratch memory, everything else behind [`NAME`].

mod nn;
mod witx;

pub use nn::{compute, construct, inference as nn_inference, list};
pub use witx::{CONTEXT, GRAPH, inference as witx_inference, open, record, set_inputs};

use crate::Step;

/// Where the name of the model goes.
pub const NAME: u16 = 256;

/// Values of the first input: two rows.
pub const BYTES: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Values of the second input: two rows.
pub const NUMBERS: [i64; 4] = [10, 20, 0, 99];

/// Where the shapes, values and answers of both inputs go.
const SHAPES: [u16; 2] = [384, 400];
const VALUES: [u16; 2] = [512, 576];
const ANSWERS: [u16; 2] = [640, 704];

/// What a whole inference prints: the model gives its inputs back.
#[must_use]
pub fn printed() -> Vec<u8> {
    let numbers = NUMBERS.iter().flat_map(|number| number.to_le_bytes());
    BYTES.into_iter().chain(numbers).collect()
}

/// Writes the name of a model.
#[must_use]
pub fn name(model: &str) -> Step {
    Step::Write { offset: NAME, bytes: model.as_bytes().to_vec() }
}

/// Writes shapes and values of both inputs.
#[must_use]
pub fn values() -> Vec<Step> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let numbers = NUMBERS.iter().flat_map(|number| number.to_le_bytes()).collect();
    vec![
        Step::Write { offset: SHAPES[0], bytes: words(&[2, 4]) },
        Step::Write { offset: SHAPES[1], bytes: words(&[2, 2]) },
        Step::Write { offset: VALUES[0], bytes: BYTES.to_vec() },
        Step::Write { offset: VALUES[1], bytes: numbers },
    ]
}

/// Prints both answers.
fn print() -> [Step; 2] {
    [Step::Print { offset: ANSWERS[0], length: 8 }, Step::Print { offset: ANSWERS[1], length: 32 }]
}
