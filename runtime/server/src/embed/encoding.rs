//! Vectors as clients want them written: floats, or bytes of which there are 4, 2, 1 or an eighth a value.

use half::f16;
use tonic::Status;
use wisp_proto::v1;

/// The largest byte of [`Encoding::Int8`]; -128 is left out, so that the scale is the same on both sides.
const INT8_LIMIT: f32 = 127.0;

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As numbers of the protocol.
    Float,
    /// 4 bytes a value, little-endian.
    F32,
    /// 2 bytes a value, little-endian, rounded to the nearest.
    F16,
    /// A byte a value, and a scale.
    Int8,
    /// A bit a value: whether it is above 0.
    Binary,
}

impl Encoding {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Float, Self::F32, Self::F16, Self::Int8, Self::Binary];

    /// The one that a message asks for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for one that does not exist.
    pub(crate) fn of(message: &v1::EmbedRequest) -> Result<Self, Status> {
        match v1::Encoding::try_from(message.encoding) {
            Ok(v1::Encoding::Unspecified | v1::Encoding::Float) => Ok(Self::Float),
            Ok(v1::Encoding::PackedF32) => Ok(Self::F32),
            Ok(v1::Encoding::PackedF16) => Ok(Self::F16),
            Ok(v1::Encoding::PackedInt8) => Ok(Self::Int8),
            Ok(v1::Encoding::PackedBinary) => Ok(Self::Binary),
            Err(_) => Err(Status::invalid_argument(format!("encoding {} does not exist", message.encoding))),
        }
    }

    /// A vector in this form.
    pub(crate) fn embedding(self, vector: &[f32], tokens: u32) -> v1::Embedding {
        let packed = |packed| v1::Embedding { packed, tokens, ..v1::Embedding::default() };
        match self {
            Self::Float => v1::Embedding { values: vector.to_vec(), tokens, ..v1::Embedding::default() },
            Self::F32 => packed(f32_bytes(vector)),
            Self::F16 => packed(vector.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()),
            Self::Int8 => {
                let (bytes, scale) = int8_bytes(vector);
                v1::Embedding { scale, ..packed(bytes) }
            }
            Self::Binary => packed(binary_bytes(vector)),
        }
    }
}

/// Values as little-endian bytes.
pub(crate) fn f32_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Values divided by the scale and rounded; the largest becomes 127.
fn int8_bytes(vector: &[f32]) -> (Vec<u8>, f32) {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / INT8_LIMIT;
    let byte = |value: f32| match scale > 0.0 {
        // Saturates, should rounding of the scale lead beyond; no value is NaN, which the host has made sure of.
        true => (value / scale).round().clamp(-INT8_LIMIT, INT8_LIMIT) as i8,
        false => 0,
    };
    (vector.iter().map(|&value| byte(value).to_le_bytes()[0]).collect(), scale)
}

/// The signs of values, eight a byte, the first in the most significant bit.
fn binary_bytes(vector: &[f32]) -> Vec<u8> {
    let byte = |values: &[f32]| {
        values.iter().enumerate().fold(0_u8, |byte, (index, &value)| byte | (u8::from(value > 0.0) << (7 - index)))
    };
    vector.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: [f32; 10] = [0.5, -0.25, 0.0, 1.0, -1.0, 0.1, 0.2, -0.3, 0.01, -0.0];

    #[test]
    fn floats_stay_and_packed_f32_are_their_bytes() {
        let float = Encoding::Float.embedding(&VECTOR, 3);
        assert_eq!((&float.values[..], float.packed.len(), float.tokens), (&VECTOR[..], 0, 3));
        let packed = Encoding::F32.embedding(&VECTOR, 3);
        let values: Vec<_> =
            packed.packed.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4"))).collect();
        assert_eq!((values, packed.values.len(), packed.tokens), (VECTOR.to_vec(), 0, 3));
    }

    #[test]
    fn f16_keeps_eleven_bits() {
        let packed = Encoding::F16.embedding(&VECTOR, 0).packed;
        assert_eq!(packed.len(), 2 * VECTOR.len());
        for (bytes, value) in packed.chunks_exact(2).zip(VECTOR) {
            let read = f16::from_le_bytes(bytes.try_into().expect("2")).to_f32();
            assert!((read - value).abs() <= value.abs() / 2048.0, "{read} for {value}");
        }
    }

    #[test]
    fn int8_times_the_scale_is_off_by_half_a_step_at_most() {
        let embedding = Encoding::Int8.embedding(&VECTOR, 0);
        assert!((embedding.scale - 1.0 / 127.0).abs() < 1e-9, "{}", embedding.scale);
        for (byte, value) in embedding.packed.iter().zip(VECTOR) {
            let read = f32::from(i8::from_le_bytes([*byte])) * embedding.scale;
            assert!((read - value).abs() <= embedding.scale * 0.5001, "{read} for {value}");
        }
        let zero = Encoding::Int8.embedding(&[0.0, -0.0], 0);
        assert_eq!((zero.packed, zero.scale), (vec![0, 0], 0.0));
    }

    #[test]
    fn the_first_value_is_the_most_significant_bit() {
        assert_eq!(Encoding::Binary.embedding(&VECTOR, 0).packed, [0b1001_0110, 0b1000_0000]);
        assert!(Encoding::Binary.embedding(&[], 0).packed.is_empty());
    }

    #[test]
    fn an_encoding_that_does_not_exist_is_refused() {
        let message = v1::EmbedRequest { encoding: 6, ..v1::EmbedRequest::default() };
        assert_eq!(Encoding::of(&message).expect_err("6").message(), "encoding 6 does not exist");
    }
}
