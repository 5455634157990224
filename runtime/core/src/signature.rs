//! The inputs and outputs a model declares, and the check of tensors against them.

use crate::{DataType, ErrorKind, Kinded, NamedTensor, Tensor};

/// Length of one axis of a tensor in a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Any length (−1 in manifests).
    Free,
    /// Exactly this length.
    Fixed(usize),
}

/// Name, element type and shape of one input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the model file.
    pub name: String,
    /// The element type.
    pub data_type: DataType,
    /// One entry an axis.
    pub shape: Vec<Axis>,
    /// For integers that index a table of this length, such as token ids: every value is 0 or more and below this. Libraries
    /// differ in what they do with other values, from an error to an answer made of nothing.
    pub below: Option<i64>,
}

/// All inputs and outputs of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Every input that must be given.
    pub inputs: Vec<TensorSpec>,
    /// Every output that comes back.
    pub outputs: Vec<TensorSpec>,
}

/// Why tensors do not fit a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A declared input is missing.
    #[error("input `{name}` is missing; the model takes {expected}")]
    Missing {
        /// The declared name.
        name: String,
        /// All declared names.
        expected: String,
    },
    /// A tensor carries a name that is not declared.
    #[error("input `{name}` does not exist; the model takes {expected}")]
    Unknown {
        /// The name as given.
        name: String,
        /// All declared names.
        expected: String,
    },
    /// Two tensors carry one name.
    #[error("input `{name}` is given twice")]
    Duplicate {
        /// The name as given.
        name: String,
    },
    /// The element type differs.
    #[error("input `{name}` must be {expected}, got {actual}")]
    Type {
        /// The input.
        name: String,
        /// Declared type.
        expected: DataType,
        /// Given type.
        actual: DataType,
    },
    /// The shape differs in rank or in a fixed axis.
    #[error("input `{name}` must have shape {expected}, got {actual:?}")]
    Shape {
        /// The input.
        name: String,
        /// Declared shape, `-1` for free axes.
        expected: String,
        /// Given shape.
        actual: Vec<usize>,
    },
    /// An integer is outside the table that it indexes.
    #[error("input `{name}` holds {value}; the model knows 0 to {}", .below - 1)]
    Value {
        /// The input.
        name: String,
        /// The first such value.
        value: i64,
        /// Length of the table.
        below: i64,
    },
    /// An axis has length zero: no backend defines what that computes.
    #[error("input `{name}` is empty: shape {actual:?}")]
    Empty {
        /// The input.
        name: String,
        /// Given shape.
        actual: Vec<usize>,
    },
}

impl Kinded for SignatureError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl TensorSpec {
    /// The shape as text, `-1` for free axes: `[-1, 384]`.
    #[must_use]
    pub fn shape_text(&self) -> String {
        let axes = self.shape.iter().map(|axis| match axis {
            Axis::Free => "-1".to_owned(),
            Axis::Fixed(length) => length.to_string(),
        });
        format!("[{}]", axes.collect::<Vec<_>>().join(", "))
    }

    fn accepts_shape(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(axis, &length)| match axis {
                Axis::Free => true,
                Axis::Fixed(fixed) => *fixed == length,
            })
    }

    fn check(&self, input: &NamedTensor) -> Result<(), SignatureError> {
        let (name, tensor) = (self.name.clone(), &input.tensor);
        if tensor.data_type() != self.data_type {
            return Err(SignatureError::Type { name, expected: self.data_type, actual: tensor.data_type() });
        }
        let actual = tensor.shape().to_vec();
        if !self.accepts_shape(&actual) {
            return Err(SignatureError::Shape { name, expected: self.shape_text(), actual });
        }
        if actual.contains(&0) {
            return Err(SignatureError::Empty { name, actual });
        }
        match self.below.and_then(|below| Some((below, first_outside(&input.tensor, below)?))) {
            Some((below, value)) => Err(SignatureError::Value { name, value, below }),
            None => Ok(()),
        }
    }
}

/// The first value that is negative, or not below `below`; tensors of other types than integers have none.
fn first_outside(tensor: &Tensor, below: i64) -> Option<i64> {
    let is_outside = |value: &i64| !(0..below).contains(value);
    match tensor.data_type() {
        DataType::I64 => tensor.view::<i64>().ok()?.iter().copied().find(is_outside),
        DataType::I32 => tensor.view::<i32>().ok()?.iter().map(|&value| i64::from(value)).find(is_outside),
        _ => None,
    }
}

impl Signature {
    /// The declared input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    /// Checks that `inputs` are exactly the declared ones, each with its type and a shape that fits.
    ///
    /// # Errors
    /// The first mismatch found, naming the input.
    pub fn check_inputs(&self, inputs: &[NamedTensor]) -> Result<(), SignatureError> {
        for (index, input) in inputs.iter().enumerate() {
            if inputs[..index].iter().any(|earlier| earlier.name == input.name) {
                return Err(SignatureError::Duplicate { name: input.name.clone() });
            }
            let spec = self
                .input(&input.name)
                .ok_or_else(|| SignatureError::Unknown { name: input.name.clone(), expected: self.input_names() })?;
            spec.check(input)?;
        }
        let missing = self.inputs.iter().find(|spec| !inputs.iter().any(|input| input.name == spec.name));
        match missing {
            Some(spec) => Err(SignatureError::Missing { name: spec.name.clone(), expected: self.input_names() }),
            None => Ok(()),
        }
    }

    fn input_names(&self) -> String {
        let names: Vec<_> = self.inputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            data_type: DataType::I64,
            shape: vec![Axis::Free, Axis::Fixed(2)],
            below: None,
        };
        Signature { inputs: vec![spec("ids"), spec("mask")], outputs: vec![] }
    }

    fn input(name: &str, shape: &[usize]) -> NamedTensor {
        let values = vec![0_i64; shape.iter().product()];
        NamedTensor::new(name, Tensor::from_slice(shape, &values).expect("fits"))
    }

    #[test]
    fn exactly_the_declared_inputs_pass_in_any_order() {
        signature().check_inputs(&[input("mask", &[3, 2]), input("ids", &[3, 2])]).expect("fits");
    }

    #[test]
    fn integers_outside_their_table_are_refused() {
        let mut signature = signature();
        signature.inputs[0].below = Some(10);
        let ids = |values: [i64; 2]| {
            let tensor = Tensor::from_slice(&[1, 2], &values).expect("fits");
            [NamedTensor::new("ids", tensor), input("mask", &[1, 2])]
        };
        signature.check_inputs(&ids([0, 9])).expect("inside");
        for (values, message) in [
            ([3, 10], "input `ids` holds 10; the model knows 0 to 9"),
            ([-1, 3], "input `ids` holds -1; the model knows 0 to 9"),
        ] {
            assert_eq!(signature.check_inputs(&ids(values)).expect_err(message).to_string(), message);
        }
    }

    #[test]
    fn every_mismatch_is_named() {
        let f32_ids = NamedTensor::new("ids", Tensor::from_slice(&[1, 2], &[0.0_f32; 2]).expect("fits"));
        for (inputs, message) in [
            (vec![input("ids", &[1, 2])], "input `mask` is missing; the model takes `ids`, `mask`"),
            (vec![input("x", &[1, 2])], "input `x` does not exist; the model takes `ids`, `mask`"),
            (vec![input("ids", &[1, 2]), input("ids", &[1, 2])], "input `ids` is given twice"),
            (vec![f32_ids], "input `ids` must be i64, got f32"),
            (vec![input("ids", &[1, 3])], "input `ids` must have shape [-1, 2], got [1, 3]"),
            (vec![input("ids", &[2])], "input `ids` must have shape [-1, 2], got [2]"),
            (vec![input("ids", &[0, 2])], "input `ids` is empty: shape [0, 2]"),
        ] {
            assert_eq!(signature().check_inputs(&inputs).expect_err(message).to_string(), message);
        }
    }
}
