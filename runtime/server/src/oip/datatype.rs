//! The datatypes of the protocol, and which of them deployments and models take.

use wisp_core::DataType;
use wisp_engine::ValueType;
use wisp_proto::inference;

/// The type of the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    /// Strings of bytes, each of its own length.
    Bytes,
}

impl Datatype {
    /// Every datatype, in the order of the specification.
    pub(crate) const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The name in messages. Names are case-sensitive.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The datatype of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Size of one element; `None` for strings, whose sizes differ.
    pub(crate) const fn size_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// Floating point of 16 bits has no place in JSON, nor in the typed contents of gRPC.
    pub(crate) const fn is_binary_only(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16)
    }

    /// The type that models compute with, if any does.
    pub(crate) const fn data_type(self) -> Option<DataType> {
        match self {
            Self::Uint8 => Some(DataType::U8),
            Self::Int32 => Some(DataType::I32),
            Self::Int64 => Some(DataType::I64),
            Self::Fp16 => Some(DataType::F16),
            Self::Bf16 => Some(DataType::Bf16),
            Self::Fp32 => Some(DataType::F32),
            Self::Fp64 => Some(DataType::F64),
            _ => None,
        }
    }

    /// The datatype in the words of a Triton configuration.
    pub(crate) const fn in_configuration(self) -> inference::DataType {
        match self {
            Self::Bool => inference::DataType::TypeBool,
            Self::Uint8 => inference::DataType::TypeUint8,
            Self::Uint16 => inference::DataType::TypeUint16,
            Self::Uint32 => inference::DataType::TypeUint32,
            Self::Uint64 => inference::DataType::TypeUint64,
            Self::Int8 => inference::DataType::TypeInt8,
            Self::Int16 => inference::DataType::TypeInt16,
            Self::Int32 => inference::DataType::TypeInt32,
            Self::Int64 => inference::DataType::TypeInt64,
            Self::Fp16 => inference::DataType::TypeFp16,
            Self::Bf16 => inference::DataType::TypeBf16,
            Self::Fp32 => inference::DataType::TypeFp32,
            Self::Fp64 => inference::DataType::TypeFp64,
            Self::Bytes => inference::DataType::TypeString,
        }
    }
}

impl From<ValueType> for Datatype {
    fn from(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Number(DataType::U8) => Self::Uint8,
            ValueType::Number(DataType::I32) => Self::Int32,
            ValueType::Number(DataType::I64) => Self::Int64,
            ValueType::Number(DataType::F16) => Self::Fp16,
            ValueType::Number(DataType::Bf16) => Self::Bf16,
            ValueType::Number(DataType::F32) => Self::Fp32,
            ValueType::Number(DataType::F64) => Self::Fp64,
            ValueType::String => Self::Bytes,
            ValueType::Count => Self::Uint32,
        }
    }
}

impl std::fmt::Display for Datatype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_is_found_by_its_name_and_by_no_other() {
        for datatype in Datatype::ALL {
            assert_eq!(Datatype::named(datatype.name()), Some(datatype));
            assert_eq!(Datatype::named(&datatype.name().to_lowercase()), None);
        }
        assert_eq!(Datatype::named("FLOAT"), None);
    }

    #[test]
    fn what_models_compute_with_has_one_datatype_of_its_size() {
        for data_type in DataType::ALL {
            let datatype = Datatype::from(ValueType::Number(data_type));
            assert_eq!(datatype.data_type(), Some(data_type));
            assert_eq!(datatype.size_bytes(), Some(data_type.size_bytes()));
        }
    }
}
