//! A strict reader of NumPy files: little-endian f32, C order, two axes, format versions 1 and 2.
//!
//! The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

const MAGIC: &[u8] = b"\x93NUMPY";

/// Rows of f32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

/// Why bytes are no such file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// It does not begin as NumPy files do.
    #[error("not a NumPy file")]
    Magic,
    /// A version of the format that is not read.
    #[error("NumPy format {major}.{minor} is not supported; save with numpy.save")]
    Version {
        /// First number.
        major: u8,
        /// Second number.
        minor: u8,
    },
    /// The header ends early or is not as NumPy writes it.
    #[error("header is not as NumPy writes it: {0}")]
    Header(&'static str),
    /// The elements are not f32 in C order.
    #[error("must hold little-endian f32 in C order; save with numpy.save(file, array.astype('<f4'))")]
    Elements,
    /// Not two axes.
    #[error("must have two axes, rows and columns")]
    Rank,
    /// The data is shorter or longer than the shape says.
    #[error("{rows} rows of {columns} f32 do not take {actual_bytes} bytes; the file is cut off or has a tail")]
    Length {
        /// Rows in the header.
        rows: usize,
        /// Columns in the header.
        columns: usize,
        /// Bytes after the header.
        actual_bytes: usize,
    },
}

/// Reads a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Matrix, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (&[major, minor], rest) = rest.split_first_chunk().ok_or(NpyError::Header("it ends before its version"))?;
    let (length, rest) = match (major, minor) {
        (1, 0) => take_length(rest, |bytes: [u8; 2]| usize::from(u16::from_le_bytes(bytes))),
        (2, 0) => take_length(rest, |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize),
        _ => return Err(NpyError::Version { major, minor }),
    }?;
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::Header("it ends before its length"))?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("it is not text"))?;
    let (rows, columns) = shape(header)?;
    let wrong_length = || NpyError::Length { rows, columns, actual_bytes: data.len() };
    let expected_bytes = rows.checked_mul(columns).and_then(|count| count.checked_mul(4)).ok_or_else(wrong_length)?;
    if data.len() != expected_bytes {
        return Err(wrong_length());
    }
    let (chunks, _) = data.as_chunks::<4>();
    Ok(Matrix { rows, columns, values: chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect() })
}

fn take_length<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> usize) -> Result<(usize, &[u8]), NpyError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(NpyError::Header("it ends before its length"))?;
    Ok((read(*length), rest))
}

/// The shape in a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (64, 384), }`.
fn shape(header: &str) -> Result<(usize, usize), NpyError> {
    let descriptor = value(header, "'descr':").ok_or(NpyError::Header("it has no descr"))?;
    let order = value(header, "'fortran_order':").ok_or(NpyError::Header("it has no fortran_order"))?;
    if !descriptor.starts_with("'<f4'") || !order.starts_with("False") {
        return Err(NpyError::Elements);
    }
    let shape = value(header, "'shape':").ok_or(NpyError::Header("it has no shape"))?;
    let axes = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (axes, _) = axes.ok_or(NpyError::Header("its shape is not a tuple"))?;
    let (rows, columns) = axes.split_once(',').ok_or(NpyError::Rank)?;
    let length = |axis: &str| axis.trim().parse().map_err(|_| NpyError::Rank);
    Ok((length(rows)?, length(columns)?))
}

fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    Some(header.split_once(key)?.1.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: [u8; 2], header: &str, values: &[f32]) -> Vec<u8> {
        let mut bytes = [MAGIC, &version].concat();
        match version[0] {
            1 => bytes.extend(u16::try_from(header.len()).expect("short").to_le_bytes()),
            _ => bytes.extend(u32::try_from(header.len()).expect("short").to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes
    }

    const HEADER: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
    const VALUES: [f32; 6] = [1.0, -2.5, 0.0, 4.0, f32::MIN_POSITIVE, 6.0];

    #[test]
    fn both_versions_read_back_as_written() {
        for version in [[1, 0], [2, 0]] {
            let matrix = parse(&file(version, HEADER, &VALUES)).expect("well formed");
            assert_eq!(matrix, Matrix { rows: 2, columns: 3, values: VALUES.to_vec() });
        }
    }

    #[test]
    fn refuses_what_it_would_misread() {
        let with = |from: &str, to: &str| parse(&file([1, 0], &HEADER.replace(from, to), &VALUES));
        let length = |rows, columns| NpyError::Length { rows, columns, actual_bytes: 24 };
        for (result, error) in [
            (parse(b"PK\x03\x04"), NpyError::Magic),
            (parse(&file([3, 0], HEADER, &VALUES)), NpyError::Version { major: 3, minor: 0 }),
            (with("<f4", "<f8"), NpyError::Elements),
            (with("<f4", ">f4"), NpyError::Elements),
            (with("False", "True"), NpyError::Elements),
            (with("(2, 3)", "(6,)"), NpyError::Rank),
            (with("(2, 3)", "(1, 2, 3)"), NpyError::Rank),
            (with("(2, 3)", "(-2, 3)"), NpyError::Rank),
            (with("(2, 3)", "2"), NpyError::Header("its shape is not a tuple")),
            (with("'shape'", "'form'"), NpyError::Header("it has no shape")),
            (with("(2, 3)", "(2, 4)"), length(2, 4)),
            (with("(2, 3)", "(2, 18446744073709551615)"), length(2, usize::MAX)),
        ] {
            assert_eq!(result, Err(error));
        }
        assert_eq!(parse(MAGIC), Err(NpyError::Header("it ends before its version")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(version in 0_u8..4, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&[MAGIC, &[version, 0], &tail].concat());
            let _ = parse(&tail);
        }

        #[test]
        fn any_cut_or_changed_byte_is_read_or_refused(at in 0_usize..90, byte in any::<u8>(), keep in 0_usize..100) {
            let mut bytes = file([1, 0], HEADER, &VALUES);
            if let Some(slot) = bytes.get_mut(at) { *slot = byte; }
            bytes.truncate(keep);
            let _ = parse(&bytes);
        }
    }
}
