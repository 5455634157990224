//! The functions between the two halves of a feed-forward block, by their names in transformers' `ACT2FN`.

use candle_core::{Result, Tensor};

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x Φ(x)` with the error function: `gelu`.
    Gelu,
    /// `x Φ(x)` through `tanh` (Hendrycks and Gimpel 2016, arXiv:1606.08415): `gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`.
    GeluTanh,
    /// `max(x, 0)`: `relu`.
    Relu,
    /// `x σ(x)`: `silu`, `swish`.
    Silu,
    /// `tanh x`: `tanh`.
    Tanh,
}

impl Activation {
    /// The function that `name` means under the key `key` of `config.json`.
    ///
    /// # Errors
    /// What is there instead, for names that are unknown.
    pub(super) fn parse(key: &str, name: &str) -> std::result::Result<Self, String> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            "tanh" => Ok(Self::Tanh),
            _ => Err(format!("{key} `{name}` is not supported; this backend has gelu, gelu_new, relu, silu, tanh")),
        }
    }

    /// The function of every element.
    pub(super) fn apply(self, values: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => values.gelu_erf(),
            // Candle's `gelu` is the approximation.
            Self::GeluTanh => values.gelu(),
            Self::Relu => values.relu(),
            Self::Silu => values.silu(),
            Self::Tanh => values.tanh(),
        }
    }
}
