//! Arithmetic precisions a session can run in.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The precision of a session's arithmetic. Anything but [`Precision::F32`] must be proven on the model's golden vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// The reference.
    #[default]
    F32,
    /// Half precision.
    F16,
    /// bfloat16, as AMX and recent GPUs multiply it.
    Bf16,
    /// Quantised weights and activations.
    Int8,
}

impl Precision {
    /// Every precision, reference first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// The name used in configuration and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`; one of f32, f16, bf16, int8")]
pub struct PrecisionError(String);

impl FromStr for Precision {
    type Err = PrecisionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|precision| precision.name() == name).ok_or_else(|| PrecisionError(name.to_owned()))
    }
}
