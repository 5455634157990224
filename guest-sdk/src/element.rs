//! The element types of `wasi:nn` and the Rust types that hold them.

use crate::tensor::DataType;

/// A Rust type that holds one element of a tensor, in the byte order of WebAssembly and of `wasi:nn` (little-endian).
pub trait Element: bytemuck::Pod + sealed::Sealed {
    /// What `wasi:nn` calls this type.
    const DATA_TYPE: DataType;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($rust:ty => $data_type:ident),* $(,)?) => { $(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const DATA_TYPE: DataType = DataType::$data_type;
        }
    )* };
}

elements! {
    half::f16 => Fp16,
    half::bf16 => Bf16,
    f32 => Fp32,
    f64 => Fp64,
    u8 => U8,
    i32 => I32,
    i64 => I64,
}

/// Bytes of one element.
pub(crate) const fn size_bytes(data_type: DataType) -> usize {
    match data_type {
        DataType::U8 => 1,
        DataType::Fp16 | DataType::Bf16 => 2,
        DataType::Fp32 | DataType::I32 => 4,
        DataType::Fp64 | DataType::I64 => 8,
    }
}

/// The type's name in messages, as the host writes it: `f32`.
pub(crate) const fn name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Fp16 => "f16",
        DataType::Bf16 => "bf16",
        DataType::Fp32 => "f32",
        DataType::Fp64 => "f64",
        DataType::U8 => "u8",
        DataType::I32 => "i32",
        DataType::I64 => "i64",
    }
}

impl DataType {
    /// The type's name in messages, as the host writes it: `f32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        name(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Element>(type_name: &str) {
        assert_eq!(size_bytes(T::DATA_TYPE), size_of::<T>());
        assert_eq!(name(T::DATA_TYPE), type_name);
        assert_eq!(size_of::<T>() % align_of::<T>(), 0, "an address aligned for the size is aligned for the type");
    }

    #[test]
    fn every_type_has_the_size_and_the_name_of_its_rust_type() {
        check::<half::f16>("f16");
        check::<half::bf16>("bf16");
        check::<f32>("f32");
        check::<f64>("f64");
        check::<u8>("u8");
        check::<i32>("i32");
        check::<i64>("i64");
    }
}
