//! The arithmetic that an ONNX file is made for: ONNX Runtime computes in the types of the file, so the file decides.
//!
//! Reads the parts of `onnx.proto` that say so and skips everything else, weights included: `ModelProto.graph` (7), its `node`s
//! (1) with their `op_type` (4), and its `initializer`s (5) with their `dims` (1) and `data_type` (2).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use wisp_core::Precision;

/// Values of `TensorProto.DataType`.
const FLOAT: u64 = 1;
const FLOAT16: u64 = 10;
const BFLOAT16: u64 = 16;

/// The longest operator name that is read; those of ONNX and of ONNX Runtime stay below 50 bytes.
const NAME_LIMIT: u64 = 256;

/// What a file computes with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arithmetic {
    /// Whether an operator reads or makes quantised numbers.
    is_quantised: bool,
    f32_weights: u64,
    f16_weights: u64,
    bf16_weights: u64,
}

impl Arithmetic {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with the file: it cannot be read, or is no protobuf message.
    pub(super) fn of(file: &Path) -> Result<Self, String> {
        let open = File::open(file).map_err(|error| error.to_string())?;
        let length = open.metadata().map_err(|error| error.to_string())?.len();
        let mut arithmetic = Self::default();
        arithmetic.model(&mut Wire { reader: BufReader::new(open), position: 0 }, length).map_err(
            |error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => "it is no ONNX model".to_owned(),
                _ => error.to_string(),
            },
        )?;
        Ok(arithmetic)
    }

    /// The precision that the file is made for. Weights decide by number, because files of any precision carry a few constants
    /// of other types.
    pub(super) fn precision(&self) -> Precision {
        let most = self.f32_weights.max(self.f16_weights).max(self.bf16_weights);
        match most {
            _ if self.is_quantised => Precision::Int8,
            most if most == self.f32_weights => Precision::F32,
            most if most == self.f16_weights => Precision::F16,
            _ => Precision::Bf16,
        }
    }

    fn model(&mut self, wire: &mut Wire<impl Read + Seek>, length: u64) -> io::Result<()> {
        while wire.position < length {
            match wire.field(length)? {
                Field::Bytes { number: 7, end } => self.graph(wire, end)?,
                field => wire.skip(&field)?,
            }
        }
        Ok(())
    }

    fn graph(&mut self, wire: &mut Wire<impl Read + Seek>, end: u64) -> io::Result<()> {
        while wire.position < end {
            match wire.field(end)? {
                Field::Bytes { number: 1, end } => self.node(wire, end)?,
                Field::Bytes { number: 5, end } => self.initializer(wire, end)?,
                field => wire.skip(&field)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, wire: &mut Wire<impl Read + Seek>, end: u64) -> io::Result<()> {
        while wire.position < end {
            match wire.field(end)? {
                Field::Bytes { number: 4, end } => self.is_quantised |= is_quantised(&wire.text(end)?),
                field => wire.skip(&field)?,
            }
        }
        Ok(())
    }

    fn initializer(&mut self, wire: &mut Wire<impl Read + Seek>, end: u64) -> io::Result<()> {
        let (mut elements, mut data_type) = (1_u64, 0);
        while wire.position < end {
            match wire.field(end)? {
                Field::Number { number: 1, value } => elements = elements.saturating_mul(value),
                Field::Bytes { number: 1, end } => {
                    while wire.position < end {
                        elements = elements.saturating_mul(wire.varint()?);
                    }
                }
                Field::Number { number: 2, value } => data_type = value,
                field => wire.skip(&field)?,
            }
        }
        let weights = match data_type {
            FLOAT => &mut self.f32_weights,
            FLOAT16 => &mut self.f16_weights,
            BFLOAT16 => &mut self.bf16_weights,
            _ => return Ok(()),
        };
        *weights = weights.saturating_add(elements);
        Ok(())
    }
}

/// Whether an operator of ONNX or ONNX Runtime works on quantised numbers: `DequantizeLinear`, `MatMulInteger`, `QLinearConv`,
/// `DynamicQuantizeMatMul`, `MatMulNBits`, `QAttention`, `QGemm`, ….
fn is_quantised(operator: &str) -> bool {
    operator.contains("Quantize")
        || operator == "DequantizeLinear"
        || operator.contains("Integer")
        || operator.starts_with("QLinear")
        || operator.contains("NBits")
        || ["QAttention", "QGemm", "QEmbedLayerNormalization", "QMoE"].contains(&operator)
}

/// A field of a protobuf message, up to its content.
enum Field {
    Number { number: u64, value: u64 },
    Bytes { number: u64, end: u64 },
    Fixed { bytes: u64 },
}

/// The wire format of protobuf, version 3.
struct Wire<R> {
    reader: BufReader<R>,
    position: u64,
}

impl<R: Read + Seek> Wire<R> {
    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            self.position += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn field(&mut self, limit: u64) -> io::Result<Field> {
        let tag = self.varint()?;
        let number = tag >> 3;
        match tag & 7 {
            0 => Ok(Field::Number { number, value: self.varint()? }),
            1 => Ok(Field::Fixed { bytes: 8 }),
            5 => Ok(Field::Fixed { bytes: 4 }),
            2 => {
                let length = self.varint()?;
                match self.position.checked_add(length) {
                    Some(end) if end <= limit => Ok(Field::Bytes { number, end }),
                    _ => Err(io::ErrorKind::InvalidData.into()),
                }
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn skip(&mut self, field: &Field) -> io::Result<()> {
        let bytes = match field {
            Field::Number { .. } => 0,
            Field::Bytes { end, .. } => end - self.position,
            Field::Fixed { bytes } => *bytes,
        };
        let offset = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        self.reader.seek_relative(offset)?;
        self.position += bytes;
        Ok(())
    }

    fn text(&mut self, end: u64) -> io::Result<String> {
        let length = end - self.position;
        if length > NAME_LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        self.position = end;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).expect("a short field");
        [&[number << 3 | 2, length], content].concat()
    }

    fn model(operators: &[&str], weights: &[(u8, u8)]) -> Vec<u8> {
        let node = |operator: &&str| bytes(1, &[bytes(1, b"x"), bytes(4, operator.as_bytes())].concat());
        let weight = |&(data_type, elements): &(u8, u8)| {
            bytes(5, &[&[1 << 3, elements, 2 << 3, data_type][..], &bytes(9, &[7; 9])].concat())
        };
        let graph = operators.iter().map(node).chain(weights.iter().map(weight)).collect::<Vec<_>>().concat();
        [&[1 << 3, 8][..], &bytes(2, b"test"), &bytes(7, &graph)].concat()
    }

    fn read(content: &[u8]) -> Result<Arithmetic, String> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), content).expect("written");
        Arithmetic::of(file.path())
    }

    #[test]
    fn operators_and_weights_say_the_precision() {
        for (operators, weights, expected) in [
            (&["MatMul"][..], &[(1, 100), (10, 1), (7, 120)][..], Precision::F32),
            (&["MatMul", "Cast"], &[(10, 100), (1, 2)], Precision::F16),
            (&["MatMul"], &[(16, 100), (1, 2)], Precision::Bf16),
            (&["MatMulInteger", "Add"], &[(3, 100), (1, 90)], Precision::Int8),
            (&["DequantizeLinear", "Conv"], &[(3, 100)], Precision::Int8),
            (&["Identity"], &[], Precision::F32),
        ] {
            assert_eq!(read(&model(operators, weights)).expect("is a model").precision(), expected, "{operators:?}");
        }
    }

    #[test]
    fn whatever_is_no_model_is_an_error() {
        let whole = model(&["MatMul"], &[(1, 100)]);
        assert!(read(&whole[..whole.len() - 3]).is_err(), "truncated");
        assert!(read(&[7; 4096]).is_err(), "garbage");
        assert!(Arithmetic::of(Path::new("/nonexistent/model.onnx")).is_err());
    }
}
