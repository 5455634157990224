//! A number that a call is given, by what it stands for: only the guest knows its own addresses.

use crate::read::Reader;

/// A number that a call is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The number itself.
    Number(u32),
    /// The address of a byte of the scratch memory.
    Scratch(u16),
    /// The word of the scratch memory with this index, up to [`Argument::HELD_LIMIT`]: what an earlier call wrote there, such
    /// as a handle. Word 0 is the answer to the last call.
    Held(u8),
    /// An address so far behind the end of the guest's memory, or before it.
    End(i8),
}

/// The low bits of the first byte say which kind of argument it is; the others are its number, if that is small enough.
const KIND_BITS: u8 = 2;
const SHORT_LIMIT: u8 = u8::MAX >> KIND_BITS;
const NUMBER: u8 = 0;
const SCRATCH: u8 = 1;
const HELD: u8 = 2;
/// Told apart by the lowest bit of the number.
const LONG_OR_END: u8 = 3;

impl Argument {
    /// The largest index of a word that [`Argument::Held`] can name.
    pub const HELD_LIMIT: u8 = SHORT_LIMIT;

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.byte()?;
        let short = first >> KIND_BITS;
        Some(match first & ((1 << KIND_BITS) - 1) {
            NUMBER => Self::Number(u32::from(short)),
            SCRATCH => Self::Scratch(reader.half()?),
            HELD => Self::Held(short),
            _ if short & 1 == 0 => Self::Number(reader.word()?),
            _ => Self::End(i8::from_le_bytes([reader.byte()?])),
        })
    }

    pub(crate) fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Number(number) => match u8::try_from(number).ok().filter(|&short| short <= SHORT_LIMIT) {
                Some(short) => bytes.push(short << KIND_BITS | NUMBER),
                None => {
                    bytes.push(LONG_OR_END);
                    bytes.extend(number.to_le_bytes());
                }
            },
            Self::Scratch(offset) => {
                bytes.push(SCRATCH);
                bytes.extend(offset.to_le_bytes());
            }
            Self::Held(index) => bytes.push(index << KIND_BITS | HELD),
            Self::End(distance) => {
                bytes.push(1 << KIND_BITS | LONG_OR_END);
                bytes.extend(distance.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arguments() -> impl Strategy<Value = Argument> {
        prop_oneof![
            any::<u32>().prop_map(Argument::Number),
            (0_u32..70).prop_map(Argument::Number),
            any::<u16>().prop_map(Argument::Scratch),
            (0..=Argument::HELD_LIMIT).prop_map(Argument::Held),
            any::<i8>().prop_map(Argument::End),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(argument in arguments()) {
            let mut bytes = Vec::new();
            argument.write(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Argument::read(&mut reader), Some(argument));
            prop_assert_eq!(reader.byte(), None);
        }
    }
}
