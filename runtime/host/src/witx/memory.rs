//! A guest's memory as bytes, and what its pointers point to: pure functions that read nothing that is not there.

use super::numbers::Errno;

/// Most parts that a model may come in.
const PART_LIMIT: u32 = 16;

/// Most axes of a tensor; the core allows no more either.
const AXIS_LIMIT: u32 = 64;

/// A tensor as a guest lays it out: pointers into its memory, not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TensorRecord {
    pub(crate) dimensions: (u32, u32),
    pub(crate) data_type: u8,
    pub(crate) data: (u32, u32),
}

/// Size and alignment of [`TensorRecord`] in WITX's layout: dimensions 0 and 4, type 8, data 12 and 16.
const TENSOR_BYTES: u32 = 20;

/// The bytes that pointer and length stand for.
pub(crate) fn slice(memory: &[u8], (pointer, length): (u32, u32)) -> Result<&[u8], Errno> {
    let (start, length) = (pointer as usize, length as usize);
    let end = start.checked_add(length).ok_or(Errno::InvalidArgument)?;
    memory.get(start..end).ok_or(Errno::InvalidArgument)
}

/// As [`slice`], to write to.
pub(crate) fn slice_mut(memory: &mut [u8], (pointer, length): (u32, u32)) -> Result<&mut [u8], Errno> {
    let (start, length) = (pointer as usize, length as usize);
    let end = start.checked_add(length).ok_or(Errno::InvalidArgument)?;
    memory.get_mut(start..end).ok_or(Errno::InvalidArgument)
}

/// A number at a pointer.
pub(crate) fn read_u32(memory: &[u8], pointer: u32) -> Result<u32, Errno> {
    let bytes = slice(memory, (pointer, 4))?;
    Ok(u32::from_le_bytes(bytes.try_into().expect("4 bytes were cut")))
}

/// Writes a number to a pointer.
pub(crate) fn write_u32(memory: &mut [u8], pointer: u32, value: u32) -> Result<(), Errno> {
    slice_mut(memory, (pointer, 4))?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// The tensor at a pointer.
pub(crate) fn tensor(memory: &[u8], pointer: u32) -> Result<TensorRecord, Errno> {
    slice(memory, (pointer, TENSOR_BYTES))?;
    // The whole record lies in memory, so that no sum below overflows.
    let word = |offset| read_u32(memory, pointer + offset);
    let [data_type] = *slice(memory, (pointer + 8, 1))? else { return Err(Errno::InvalidArgument) };
    Ok(TensorRecord { dimensions: (word(0)?, word(4)?), data_type, data: (word(12)?, word(16)?) })
}

/// The axes of a tensor.
pub(crate) fn dimensions(memory: &[u8], (pointer, count): (u32, u32)) -> Result<Vec<u32>, Errno> {
    if count > AXIS_LIMIT {
        return Err(Errno::InvalidArgument);
    }
    let bytes = slice(memory, (pointer, count * 4))?;
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes were cut")));
    Ok(words.collect())
}

/// The parts of a model: an array of pointers and lengths.
pub(crate) fn parts(memory: &[u8], (pointer, count): (u32, u32)) -> Result<Vec<&[u8]>, Errno> {
    if count > PART_LIMIT {
        return Err(Errno::InvalidArgument);
    }
    slice(memory, (pointer, count * 8))?;
    let part = |index| {
        let at = pointer + index * 8;
        slice(memory, (read_u32(memory, at)?, read_u32(memory, at + 4)?))
    };
    (0..count).map(part).collect()
}

/// A name.
pub(crate) fn text(memory: &[u8], at: (u32, u32)) -> Result<&str, Errno> {
    std::str::from_utf8(slice(memory, at)?).map_err(|_| Errno::InvalidArgument)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tensor_is_read_as_witx_lays_it_out() {
        let mut memory = vec![0; 64];
        for (pointer, value) in [(8, 40), (12, 2), (16, 5), (20, 48), (24, 16), (40, 3), (44, 7)] {
            write_u32(&mut memory, pointer, value).expect("inside");
        }
        let record = tensor(&memory, 8).expect("inside");
        assert_eq!(record, TensorRecord { dimensions: (40, 2), data_type: 5, data: (48, 16) });
        assert_eq!(dimensions(&memory, record.dimensions).expect("inside"), [3, 7]);
    }

    #[test]
    fn nothing_outside_is_read_or_written() {
        let mut memory = vec![0; 64];
        for at in [(65, 0), (64, 1), (60, 5), (u32::MAX, u32::MAX), (1, u32::MAX)] {
            assert_eq!(slice(&memory, at), Err(Errno::InvalidArgument), "{at:?}");
            assert_eq!(parts(&memory, at), Err(Errno::InvalidArgument), "{at:?}");
        }
        assert_eq!(tensor(&memory, 45), Err(Errno::InvalidArgument));
        assert_eq!(write_u32(&mut memory, 61, 1), Err(Errno::InvalidArgument));
        assert_eq!(dimensions(&memory, (0, u32::MAX)), Err(Errno::InvalidArgument));
        assert_eq!(slice(&memory, (64, 0)).expect("the end is inside"), b"");
    }

    proptest! {
        #[test]
        fn any_pointer_into_any_memory_is_answered(
            memory in proptest::collection::vec(any::<u8>(), 0..96),
            pointer: u32, near in 0_u32..128, length: u32, count in 0_u32..20,
        ) {
            for pointer in [pointer, near] {
                for length in [length, count] {
                    let _ = slice(&memory, (pointer, length));
                    let _ = parts(&memory, (pointer, length));
                    let _ = dimensions(&memory, (pointer, length));
                    let _ = text(&memory, (pointer, length));
                }
                if let Ok(record) = tensor(&memory, pointer) {
                    let _ = dimensions(&memory, record.dimensions);
                    let _ = slice(&memory, record.data);
                }
            }
        }
    }
}
