//! One step of a script, and its bytes.

use crate::read::Reader;
use crate::{Argument, Function};

/// What a script does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The steps after this one are done more often. Among them, this step does nothing.
    Repeat {
        /// How many of them.
        steps: u8,
        /// How often.
        times: u8,
    },
    /// A number is written to the scratch memory.
    Poke {
        /// Where.
        offset: u16,
        /// Which.
        value: Argument,
    },
    /// Bytes, at most 255, are written to the scratch memory.
    Write {
        /// Where the first one goes.
        offset: u16,
        /// Which.
        bytes: Vec<u8>,
    },
    /// Bytes are copied to the scratch memory, such as a list that the host made.
    Fetch {
        /// Where the first one goes.
        offset: u16,
        /// Where it comes from; outside of the guest's memory, the guest traps.
        address: Argument,
        /// How many.
        length: u8,
    },
    /// A part of the scratch memory is printed.
    Print {
        /// Where it begins.
        offset: u16,
        /// How long it is.
        length: u16,
    },
    /// The guest's memory is made so many pages larger, if it can be.
    Grow(u8),
    /// A function is called, and its answer becomes word 0 of the scratch memory.
    Call {
        /// Its place in the interface.
        function: usize,
        /// What it is given, as many as it takes.
        arguments: Vec<Argument>,
    },
}

/// Codes of the steps; those of the functions follow.
const REPEAT: u8 = 0;
const POKE: u8 = 1;
const WRITE: u8 = 2;
const FETCH: u8 = 3;
const PRINT: u8 = 4;
const GROW: u8 = 5;
const FIRST_CALL: u8 = 6;

impl Step {
    /// A call of a function of `interface` by its name.
    ///
    /// # Panics
    /// When the interface has no such function, or one that takes another number of arguments: the script is wrong.
    #[must_use]
    pub fn call(interface: &[Function], name: &str, arguments: &[Argument]) -> Self {
        let function = interface.iter().position(|function| function.name == name);
        let function = function.expect("the interface has a function of this name");
        assert_eq!(interface[function].arguments, arguments.len(), "arguments of {name}");
        Self::Call { function, arguments: arguments.to_vec() }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, interface: &[Function]) -> Option<Self> {
        let codes = usize::from(FIRST_CALL) + interface.len();
        let code = usize::from(reader.byte()?) % codes;
        if let Some(function) = code.checked_sub(usize::from(FIRST_CALL)) {
            let arguments = (0..interface[function].arguments).map(|_| Argument::read(reader));
            return Some(Self::Call { function, arguments: arguments.collect::<Option<_>>()? });
        }
        Some(match code as u8 {
            REPEAT => Self::Repeat { steps: reader.byte()?, times: reader.byte()? },
            POKE => Self::Poke { offset: reader.half()?, value: Argument::read(reader)? },
            WRITE => {
                let (offset, length) = (reader.half()?, reader.byte()?);
                Self::Write { offset, bytes: reader.bytes(usize::from(length))?.to_vec() }
            }
            FETCH => Self::Fetch { offset: reader.half()?, address: Argument::read(reader)?, length: reader.byte()? },
            PRINT => Self::Print { offset: reader.half()?, length: reader.half()? },
            _ => Self::Grow(reader.byte()?),
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Repeat { steps, times } => bytes.extend([REPEAT, *steps, *times]),
            Self::Poke { offset, value } => {
                bytes.push(POKE);
                bytes.extend(offset.to_le_bytes());
                value.write(bytes);
            }
            Self::Write { offset, bytes: written } => {
                let written = &written[..written.len().min(usize::from(u8::MAX))];
                bytes.push(WRITE);
                bytes.extend(offset.to_le_bytes());
                bytes.push(written.len() as u8);
                bytes.extend(written);
            }
            Self::Fetch { offset, address, length } => {
                bytes.push(FETCH);
                bytes.extend(offset.to_le_bytes());
                address.write(bytes);
                bytes.push(*length);
            }
            Self::Print { offset, length } => {
                bytes.push(PRINT);
                bytes.extend(offset.to_le_bytes());
                bytes.extend(length.to_le_bytes());
            }
            Self::Grow(pages) => bytes.extend([GROW, *pages]),
            Self::Call { function, arguments } => {
                bytes.push(FIRST_CALL + *function as u8);
                arguments.iter().for_each(|argument| argument.write(bytes));
            }
        }
    }
}

/// The bytes of a script.
#[must_use]
pub fn write(steps: &[Step]) -> Vec<u8> {
    let mut bytes = Vec::new();
    steps.iter().for_each(|step| step.write(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{NN, WITX};

    #[test]
    fn what_was_written_is_read() {
        let steps = [
            Step::Repeat { steps: 2, times: 200 },
            Step::call(NN, "[method]tensor.data", &[Argument::Held(3), Argument::Scratch(4000)]),
            Step::Poke { offset: 7, value: Argument::End(-1) },
            Step::Write { offset: 4095, bytes: vec![1; 255] },
            Step::Fetch { offset: 2, address: Argument::Held(1), length: 3 },
            Step::Print { offset: 1, length: 2 },
            Step::Grow(9),
        ];
        let bytes = write(&steps);
        let mut reader = Reader::new(&bytes);
        let read: Vec<_> = std::iter::from_fn(|| Step::read(&mut reader, NN)).collect();
        assert_eq!(read, steps);
    }

    proptest! {
        #[test]
        fn any_bytes_are_steps_that_can_be_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for interface in [WITX, NN] {
                let read = |bytes: &[u8]| {
                    let mut reader = Reader::new(bytes);
                    std::iter::from_fn(|| Step::read(&mut reader, interface)).collect::<Vec<_>>()
                };
                let steps = read(&bytes);
                prop_assert_eq!(read(&write(&steps)), steps);
            }
        }
    }
}
