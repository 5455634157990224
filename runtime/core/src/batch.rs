//! What goes into a session: named tensors, padded or packed.

use std::collections::BTreeMap;

use crate::Tensor;

/// A tensor under the name that the model gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Input or output name in the model file.
    pub name: String,
    /// The tensor.
    pub tensor: Tensor,
}

impl NamedTensor {
    /// Names a tensor.
    #[must_use]
    pub fn new(name: impl Into<String>, tensor: Tensor) -> Self {
        Self { name: name.into(), tensor }
    }
}

/// How the rows of a batch lie in its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Rows padded to one length, `[rows, length]`, with a mask input where the model has one.
    Padded,
    /// Rows one after the other without padding, `[tokens]`, with offsets.
    Packed,
}

/// Rows of different lengths, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedBatch {
    /// Tensors whose leading axis runs over the tokens of all rows: `[tokens]` for token ids.
    pub inputs: Vec<NamedTensor>,
    /// Start of each row, and the end of the last: row `i` is `offsets[i]..offsets[i + 1]`. Starts at 0, strictly ascending.
    pub offsets: Vec<usize>,
}

/// The axis along which rows differ in length, and how shorter ones are filled up.
#[derive(Clone, Debug, PartialEq)]
pub struct Ragged {
    /// Index of the axis in the inputs.
    pub axis: usize,
    /// The input that is 1 where a row has a value and 0 where it was filled up.
    pub mask_input: String,
    /// What each input is filled up with.
    pub pad_values: BTreeMap<String, f64>,
}

impl Ragged {
    /// Checks that inputs agree in rows and, where they are ragged, in length.
    ///
    /// # Errors
    /// The first input that differs from the one before it, and how.
    pub fn check(&self, inputs: &[NamedTensor]) -> Result<(), String> {
        let ragged: Vec<_> = inputs.iter().filter(|input| self.pad_values.contains_key(&input.name)).collect();
        check_lengths(&ragged, &[0, self.axis])
    }
}

/// Checks that tensors agree in the lengths of some axes, as far as they have them.
///
/// # Errors
/// The first tensor that differs from the one before it, and how.
pub fn check_lengths(inputs: &[&NamedTensor], axes: &[usize]) -> Result<(), String> {
    for &axis in axes {
        let lengths = inputs.iter().filter_map(|input| Some((input, *input.tensor.shape().get(axis)?)));
        let lengths: Vec<_> = lengths.collect();
        if let Some([(first, _), (other, _)]) = lengths.array_windows().find(|[first, other]| first.1 != other.1) {
            let (shape, other_shape) = (first.tensor.shape(), other.tensor.shape());
            return Err(format!("input `{}` has shape {other_shape:?}, `{}` has {shape:?}", other.name, first.name));
        }
    }
    Ok(())
}

/// A shape that a session is compiled for, where its device takes no free axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StaticShape {
    /// Length of the batch axis.
    pub rows: usize,
    /// Length of the ragged axis; without meaning for models that have none.
    pub length: usize,
}

/// One inference, in the layout that the session takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Tensors as the model's signature declares them.
    Padded(Vec<NamedTensor>),
    /// Rows without padding; the mask is implied by the offsets and not among the inputs.
    Packed(PackedBatch),
}

impl Batch {
    /// The layout of this batch.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match self {
            Self::Padded(_) => Layout::Padded,
            Self::Packed(_) => Layout::Packed,
        }
    }
}
