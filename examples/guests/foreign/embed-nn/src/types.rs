//! Tensors of every type, handed to the host and read back from it.

use anyhow::Result;

use crate::bindings::{Tensor, TensorType};

/// Every type with the bytes that one element takes.
const TYPES: [(TensorType, usize); 7] = [
    (TensorType::Fp16, 2),
    (TensorType::Fp32, 4),
    (TensorType::Fp64, 8),
    (TensorType::Bf16, 2),
    (TensorType::U8, 1),
    (TensorType::I32, 4),
    (TensorType::I64, 8),
];

/// Prints `TYPE DIMENSIONS DATA` as the host hands each tensor back, the data in hexadecimal.
pub(crate) fn print() -> Result<()> {
    for (ty, size) in TYPES {
        // Counted up, so that bytes in a wrong place show.
        let data: Vec<u8> = (0..2 * 3 * size).map(|byte| byte as u8).collect();
        let tensor = Tensor::new(&[2, 3], ty, &data);
        let bytes: String = tensor.data().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{} {:?} {bytes}", name(tensor.ty()), tensor.dimensions());
    }
    Ok(())
}

/// A type by its name in the WIT.
fn name(ty: TensorType) -> &'static str {
    match ty {
        TensorType::Fp16 => "FP16",
        TensorType::Fp32 => "FP32",
        TensorType::Fp64 => "FP64",
        TensorType::Bf16 => "BF16",
        TensorType::U8 => "U8",
        TensorType::I32 => "I32",
        TensorType::I64 => "I64",
    }
}
