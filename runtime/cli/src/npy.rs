//! Writing NumPy's `.npy`, version 1.0. Source: numpy/lib/format, "Format Version 1.0".

use std::io::Write;

/// The header, magic and length included, is padded to a multiple of this.
const HEADER_ALIGNMENT_BYTES: usize = 64;

/// Writes `[rows, columns]` of little-endian f32.
pub(crate) fn write(output: &mut impl Write, rows: usize, columns: usize, values: &[f32]) -> std::io::Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let preamble_bytes = b"\x93NUMPY\x01\x00".len() + size_of::<u16>();
    let unpadded_bytes = preamble_bytes + header.len() + 1;
    let padding_bytes = unpadded_bytes.next_multiple_of(HEADER_ALIGNMENT_BYTES) - unpadded_bytes;
    header.extend(std::iter::repeat_n(' ', padding_bytes));
    header.push('\n');
    // The header is some hundred bytes at most: two numbers and fixed text.
    let header_bytes = u16::try_from(header.len()).map_err(std::io::Error::other)?;
    output.write_all(b"\x93NUMPY\x01\x00")?;
    output.write_all(&header_bytes.to_le_bytes())?;
    output.write_all(header.as_bytes())?;
    values.iter().try_for_each(|value| output.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_starts_at_a_multiple_of_64_and_is_row_major() {
        let mut bytes = Vec::new();
        write(&mut bytes, 2, 1, &[1.0, -2.0]).expect("a vector takes everything");
        let header_bytes = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        assert_eq!((10 + header_bytes) % 64, 0);
        let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).expect("ASCII");
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"), "{header}");
        assert_eq!(bytes[10 + header_bytes..], [0, 0, 128, 63, 0, 0, 0, 192]);
    }
}
