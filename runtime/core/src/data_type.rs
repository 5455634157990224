//! Element types of tensors.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// The element type of a tensor: the types of `wasi:nn@0.2.0-rc-2024-10-28`, little-endian in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// IEEE 754 half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Unsigned byte.
    U8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
}

impl DataType {
    /// Every type, for tables and tests.
    pub const ALL: [Self; 7] = [Self::F16, Self::Bf16, Self::F32, Self::F64, Self::U8, Self::I32, Self::I64];

    /// Size of one element in bytes.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The name used in manifests, messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }

    /// The bytes of one element of this type: the closest to `value` that the type has.
    #[must_use]
    pub fn encode(self, value: f64) -> Vec<u8> {
        match self {
            Self::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
            Self::Bf16 => bf16::from_f64(value).to_le_bytes().to_vec(),
            Self::F32 => (value as f32).to_le_bytes().to_vec(),
            Self::F64 => value.to_le_bytes().to_vec(),
            Self::U8 => vec![value as u8],
            Self::I32 => (value as i32).to_le_bytes().to_vec(),
            Self::I64 => (value as i64).to_le_bytes().to_vec(),
        }
    }
}

impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that is the element of a tensor.
pub trait Element: bytemuck::Pod + Send + Sync + 'static {
    /// The tensor type that holds it.
    const DATA_TYPE: DataType;
}

macro_rules! element {
    ($($rust:ty => $data_type:ident),* $(,)?) => {
        $(impl Element for $rust { const DATA_TYPE: DataType = DataType::$data_type; })*
    };
}

element!(f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64, u8 => U8, i32 => I32, i64 => I64);
