//! NumPy files: a strict reader of little-endian, C order, format versions 1 and 2, and a writer of version 1.
//!
//! The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Write;

use wisp_core::aligned::AlignedBuffer;
use wisp_core::{DataType, Tensor, TensorError};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The header, magic and length included, is padded to a multiple of this.
const HEADER_ALIGNMENT_BYTES: usize = 64;

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
    /// The elements are not f32 in C order, where they must be.
    #[error("must hold little-endian f32 in C order; save with numpy.save(file, array.astype('<f4'))")]
    Elements,
    /// The elements are of a type that no tensor has, or in another order.
    #[error("must hold little-endian f16, bf16 (as V2), f32, f64, u8, i32 or i64 in C order")]
    DataType,
    /// Not two axes, where they must be.
    #[error("must have two axes, rows and columns")]
    Rank,
    /// The data is shorter or longer than the shape says, or the shape has too many axes.
    #[error("{0}; the file is cut off or has a tail")]
    Length(#[from] TensorError),
}

/// Reads a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tensor, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (&[major, minor], rest) = rest.split_first_chunk().ok_or(NpyError::Header("it ends before its version"))?;
    let (length, rest) = match (major, minor) {
        (1, 0) => take_length(rest, |bytes: [u8; 2]| usize::from(u16::from_le_bytes(bytes))),
        (2, 0) => take_length(rest, |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize),
        _ => return Err(NpyError::Version { major, minor }),
    }?;
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::Header("it ends before its length"))?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("it is not text"))?;
    let (data_type, shape) = (data_type(header)?, shape(header)?);
    Ok(Tensor::new(data_type, &shape, AlignedBuffer::copy_of(data).freeze())?)
}

impl Matrix {
    /// Reads a whole file of f32 with two axes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NpyError> {
        let tensor = parse(bytes).map_err(|error| match error {
            NpyError::DataType => NpyError::Elements,
            // Whatever its length: the type is what is wrong first.
            NpyError::Length(TensorError::Length { data_type, .. }) if data_type != DataType::F32 => NpyError::Elements,
            other => other,
        })?;
        let values = tensor.view::<f32>().map_err(|_| NpyError::Elements)?.to_vec();
        let &[rows, columns] = tensor.shape() else { return Err(NpyError::Rank) };
        Ok(Self { rows, columns, values })
    }
}

/// Writes a tensor as NumPy's `.npy`, version 1.0 (numpy/lib/format, "Format Version 1.0").
///
/// # Errors
/// What the writer fails with; [`std::io::ErrorKind::Unsupported`] for bf16, which NumPy does not have.
pub fn write_npy(output: &mut impl Write, tensor: &Tensor) -> std::io::Result<()> {
    let description = match tensor.data_type() {
        DataType::F16 => "<f2",
        DataType::F32 => "<f4",
        DataType::F64 => "<f8",
        DataType::U8 => "|u1",
        DataType::I32 => "<i4",
        DataType::I64 => "<i8",
        DataType::Bf16 => return Err(std::io::ErrorKind::Unsupported.into()),
    };
    // The comma makes a tuple of a single axis.
    let shape: String = tensor.shape().iter().map(|axis| format!("{axis}, ")).collect();
    let shape = if tensor.shape().len() > 1 { shape.trim_end_matches(", ") } else { shape.trim_end() };
    let mut header = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': ({shape}), }}");
    let preamble_bytes = MAGIC.len() + 2 + size_of::<u16>();
    let unpadded_bytes = preamble_bytes + header.len() + 1;
    let padding_bytes = unpadded_bytes.next_multiple_of(HEADER_ALIGNMENT_BYTES) - unpadded_bytes;
    header.extend(std::iter::repeat_n(' ', padding_bytes));
    header.push('\n');
    // Some hundred bytes at most: a tensor has few axes.
    let header_bytes = u16::try_from(header.len()).map_err(std::io::Error::other)?;
    output.write_all(MAGIC)?;
    output.write_all(&[1, 0])?;
    output.write_all(&header_bytes.to_le_bytes())?;
    output.write_all(header.as_bytes())?;
    output.write_all(tensor.data())
}

fn take_length<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> usize) -> Result<(usize, &[u8]), NpyError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(NpyError::Header("it ends before its length"))?;
    Ok((read(*length), rest))
}

/// The element type in a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (64, 384), }`.
fn data_type(header: &str) -> Result<DataType, NpyError> {
    let descriptor = value(header, "'descr':").ok_or(NpyError::Header("it has no descr"))?;
    let order = value(header, "'fortran_order':").ok_or(NpyError::Header("it has no fortran_order"))?;
    let types = [
        ("'<f2'", DataType::F16),
        // NumPy has no bfloat16; extensions store it as two bytes of no type.
        ("'<V2'", DataType::Bf16),
        ("'|V2'", DataType::Bf16),
        ("'<f4'", DataType::F32),
        ("'<f8'", DataType::F64),
        ("'|u1'", DataType::U8),
        ("'<i4'", DataType::I32),
        ("'<i8'", DataType::I64),
    ];
    let found = types.iter().find(|(name, _)| descriptor.starts_with(name)).map(|(_, data_type)| *data_type);
    found.filter(|_| order.starts_with("False")).ok_or(NpyError::DataType)
}

/// The shape in such a header; `(3,)` is how Python writes one axis.
fn shape(header: &str) -> Result<Vec<usize>, NpyError> {
    let not_a_tuple = || NpyError::Header("its shape is not a tuple");
    let shape = value(header, "'shape':").ok_or(NpyError::Header("it has no shape"))?;
    let axes = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (axes, _) = axes.ok_or_else(not_a_tuple)?;
    let axes = axes.trim();
    if axes.is_empty() {
        return Ok(vec![]);
    }
    let axes = axes.strip_suffix(',').unwrap_or(axes).split(',');
    axes.map(|axis| axis.trim().parse().map_err(|_| NpyError::Header("its shape is not a tuple of lengths"))).collect()
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
    fn what_is_written_reads_back_whatever_its_axes() {
        for shape in [vec![], vec![6], vec![2, 3], vec![1, 2, 3]] {
            let values = vec![1.5_f32; shape.iter().product()];
            let tensor = Tensor::from_slice(&shape, &values).expect("fits");
            let mut bytes = Vec::new();
            write_npy(&mut bytes, &tensor).expect("a vector takes everything");
            assert_eq!(parse(&bytes).expect("was just written"), tensor, "{shape:?}");
        }
    }

    #[test]
    fn the_data_starts_at_a_multiple_of_64_and_is_row_major() {
        let mut bytes = Vec::new();
        let tensor = Tensor::from_slice(&[2, 1], &[1.0_f32, -2.0]).expect("fits");
        write_npy(&mut bytes, &tensor).expect("a vector takes everything");
        let header_bytes = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        assert_eq!((10 + header_bytes) % 64, 0);
        let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).expect("ASCII");
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"), "{header}");
        assert_eq!(bytes[10 + header_bytes..], [0, 0, 128, 63, 0, 0, 0, 192]);
    }

    #[test]
    fn both_versions_read_back_as_written() {
        for version in [[1, 0], [2, 0]] {
            let matrix = Matrix::parse(&file(version, HEADER, &VALUES)).expect("well formed");
            assert_eq!(matrix, Matrix { rows: 2, columns: 3, values: VALUES.to_vec() });
        }
    }

    #[test]
    fn refuses_what_it_would_misread() {
        let parse = Matrix::parse;
        let with = |from: &str, to: &str| parse(&file([1, 0], &HEADER.replace(from, to), &VALUES));
        let length = |expected_bytes| {
            let shape = vec![2, 4];
            NpyError::Length(TensorError::Length { shape, data_type: DataType::F32, expected_bytes, actual_bytes: 24 })
        };
        let overflow = TensorError::Overflow { shape: vec![2, usize::MAX], data_type: DataType::F32 };
        for (result, error) in [
            (parse(b"PK\x03\x04"), NpyError::Magic),
            (parse(&file([3, 0], HEADER, &VALUES)), NpyError::Version { major: 3, minor: 0 }),
            (with("<f4", "<f8"), NpyError::Elements),
            (with("<f4", ">f4"), NpyError::Elements),
            (with("False", "True"), NpyError::Elements),
            (with("(2, 3)", "(6,)"), NpyError::Rank),
            (with("(2, 3)", "(1, 2, 3)"), NpyError::Rank),
            (with("(2, 3)", "(-2, 3)"), NpyError::Header("its shape is not a tuple of lengths")),
            (with("(2, 3)", "2"), NpyError::Header("its shape is not a tuple")),
            (with("'shape'", "'form'"), NpyError::Header("it has no shape")),
            (with("(2, 3)", "(2, 4)"), length(32)),
            (with("(2, 3)", "(2, 18446744073709551615)"), NpyError::Length(overflow)),
        ] {
            assert_eq!(result, Err(error));
        }
        assert_eq!(parse(MAGIC), Err(NpyError::Header("it ends before its version")));
    }

    #[test]
    fn every_element_type_is_read() {
        let names = [("<f2", 12), ("<V2", 12), ("<f4", 6), ("<f8", 3), ("|u1", 24), ("<i4", 6), ("<i8", 3)];
        for ((name, count), expected) in names.into_iter().zip([
            DataType::F16,
            DataType::Bf16,
            DataType::F32,
            DataType::F64,
            DataType::U8,
            DataType::I32,
            DataType::I64,
        ]) {
            let header = HEADER.replace("<f4", name).replace("(2, 3)", &format!("({count},)"));
            let tensor = parse(&file([1, 0], &header, &VALUES)).expect(name);
            assert_eq!((tensor.data_type(), tensor.shape()), (expected, &[count][..]));
        }
        let scalar = HEADER.replace("(2, 3)", "()");
        assert_eq!(parse(&file([1, 0], &scalar, &VALUES[..1])).expect("one value").shape(), [0_usize; 0]);
        for name in [">i8", "<u2", "|O", "<U4", "<c8"] {
            assert_eq!(parse(&file([1, 0], &HEADER.replace("<f4", name), &VALUES)), Err(NpyError::DataType), "{name}");
        }
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
