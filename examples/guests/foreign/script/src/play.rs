//! A script, played step by step against the functions of a host.

use std::io::Write;

use crate::interfaces::ARGUMENTS_LIMIT;
use crate::read::Reader;
use crate::{Function, Scratch, Step};

/// Plays a script to its end. `call` is given the place of a function in `interface`, and numbers of which the function takes
/// the first ones. What is printed goes to `output`; whether it arrives changes nothing.
pub fn play(
    script: &[u8],
    interface: &[Function],
    mut output: impl Write,
    mut call: impl FnMut(usize, [u32; ARGUMENTS_LIMIT]) -> u32,
) {
    let (mut reader, mut scratch) = (Reader::new(script), Scratch::new());
    let steps: Vec<_> = std::iter::from_fn(|| Step::read(&mut reader, interface)).collect();
    let mut rest = &steps[..];
    while let [step, following @ ..] = rest {
        let (now, times) = match step {
            Step::Repeat { steps, times } => (&following[..following.len().min(usize::from(*steps))], *times),
            _ => (&rest[..1], 1),
        };
        for step in (0..times).flat_map(|_| now) {
            take(step, &mut scratch, &mut output, &mut call);
        }
        rest = match step {
            Step::Repeat { .. } => &following[now.len()..],
            _ => following,
        };
    }
}

fn take(
    step: &Step,
    scratch: &mut Scratch,
    output: &mut impl Write,
    call: &mut impl FnMut(usize, [u32; ARGUMENTS_LIMIT]) -> u32,
) {
    match step {
        Step::Repeat { .. } => {}
        Step::Poke { offset, value } => {
            let value = scratch.value(*value);
            scratch.write(*offset, &value.to_le_bytes());
        }
        Step::Write { offset, bytes } => scratch.write(*offset, bytes),
        Step::Fetch { offset, address, length } => {
            let address = scratch.value(*address);
            scratch.fetch(*offset, address, *length);
        }
        Step::Print { offset, length } => {
            let _ = output.write_all(scratch.read(*offset, *length));
        }
        Step::Grow(pages) => grow(*pages),
        Step::Call { function, arguments } => {
            let mut numbers = [0; ARGUMENTS_LIMIT];
            for (number, argument) in numbers.iter_mut().zip(arguments) {
                *number = scratch.value(*argument);
            }
            let answer = call(*function, numbers);
            scratch.write(0, &answer.to_le_bytes());
        }
    }
}

/// Asks for pages; a host that refuses them is as good.
fn grow(pages: u8) {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::memory_grow(0, usize::from(pages));
    // Natively there is no such memory.
    #[cfg(not(target_arch = "wasm32"))]
    let _ = pages;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Argument, WITX, write};

    #[test]
    fn calls_get_numbers_and_their_answers_can_be_used() {
        let steps = [
            Step::Write { offset: 64, bytes: b"answer ".to_vec() },
            Step::Repeat { steps: 2, times: 2 },
            Step::call(WITX, "compute", &[Argument::Number(40)]),
            Step::call(WITX, "unload", &[Argument::Held(0)]),
            Step::call(WITX, "unload", &[Argument::Number(1)]),
            Step::Print { offset: 64, length: 7 },
            Step::Print { offset: 0, length: 1 },
        ];
        let (mut output, mut calls) = (Vec::new(), Vec::new());
        play(&write(&steps), WITX, &mut output, |function, numbers| {
            calls.push((WITX[function].name, numbers[0]));
            numbers[0] + calls.len() as u32
        });
        assert_eq!(calls, [("compute", 40), ("unload", 41), ("compute", 40), ("unload", 43), ("unload", 1)]);
        assert_eq!(output, b"answer \x06");
    }
}
