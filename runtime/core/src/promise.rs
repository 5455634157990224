//! What a manifest promises against what a model file has, so that a swapped file fails when it is loaded and not when it runs.

use crate::{Axis, DataType, Signature, TensorSpec};

/// The first thing in which a file is not what was promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenPromise {
    /// A promised input or output is not there.
    #[error("{kind} `{name}` does not exist, there are {found}")]
    Missing {
        /// `input` or `output`.
        kind: &'static str,
        /// The promised name.
        name: String,
        /// All names of that kind in the file.
        found: String,
    },
    /// It is there as something else.
    #[error("{kind} `{name}` is {found_type} {found_shape}, not {data_type} {shape}")]
    Differs {
        /// `input` or `output`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its type in the file.
        found_type: DataType,
        /// Its shape in the file, `-1` for free axes.
        found_shape: String,
        /// The promised type.
        data_type: DataType,
        /// The promised shape.
        shape: String,
    },
    /// The file takes an input of which the manifest says nothing.
    #[error("input `{name}` is needed and not declared")]
    Undeclared {
        /// Its name in the file.
        name: String,
    },
}

impl Signature {
    /// Checks that a file with the signature `found` keeps what `self` promises. It may have outputs beside the promised ones;
    /// a free axis agrees with any length, and a shape without axes with any shape, because some formats leave the rank open.
    ///
    /// # Errors
    /// The first difference, naming the input or output.
    pub fn check_promises(&self, found: &Self) -> Result<(), BrokenPromise> {
        check("input", &self.inputs, &found.inputs)?;
        check("output", &self.outputs, &found.outputs)?;
        match found.inputs.iter().find(|other| self.input(&other.name).is_none()) {
            Some(extra) => Err(BrokenPromise::Undeclared { name: extra.name.clone() }),
            None => Ok(()),
        }
    }
}

fn check(kind: &'static str, promised: &[TensorSpec], found: &[TensorSpec]) -> Result<(), BrokenPromise> {
    for spec in promised {
        let name = spec.name.clone();
        let Some(other) = found.iter().find(|other| other.name == name) else {
            let names: Vec<_> = found.iter().map(|other| format!("`{}`", other.name)).collect();
            return Err(BrokenPromise::Missing { kind, name, found: names.join(", ") });
        };
        if other.data_type != spec.data_type || !agree(&spec.shape, &other.shape) {
            let (found_type, found_shape) = (other.data_type, other.shape_text());
            let (data_type, shape) = (spec.data_type, spec.shape_text());
            return Err(BrokenPromise::Differs { kind, name, found_type, found_shape, data_type, shape });
        }
    }
    Ok(())
}

/// Whether two shapes can be the same.
fn agree(promised: &[Axis], found: &[Axis]) -> bool {
    let differ = |pair: (&Axis, &Axis)| matches!(pair, (Axis::Fixed(a), Axis::Fixed(b)) if a != b);
    found.is_empty() || (promised.len() == found.len() && !promised.iter().zip(found).any(differ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, data_type: DataType, shape: &[Axis]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), data_type, shape: shape.to_vec(), below: None }
    }

    fn promised() -> Signature {
        let ids = spec("ids", DataType::I64, &[Axis::Free, Axis::Free]);
        let vectors = spec("vectors", DataType::F32, &[Axis::Free, Axis::Fixed(384)]);
        Signature { inputs: vec![ids], outputs: vec![vectors] }
    }

    #[test]
    fn free_axes_open_ranks_and_further_outputs_keep_every_promise() {
        let mut found = promised();
        found.inputs[0].shape = vec![Axis::Free, Axis::Fixed(128)];
        found.inputs[0].below = Some(9);
        found.outputs[0].shape = vec![Axis::Fixed(1), Axis::Free];
        found.outputs.push(spec("more", DataType::F16, &[]));
        assert_eq!(promised().check_promises(&found), Ok(()));
        found.outputs[0].shape.clear();
        assert_eq!(promised().check_promises(&found), Ok(()));
    }

    #[test]
    fn every_difference_is_named() {
        let broken = |change: fn(&mut Signature)| {
            let mut found = promised();
            change(&mut found);
            promised().check_promises(&found).expect_err("differs").to_string()
        };
        for (change, message) in [
            (
                (|found| found.outputs[0].name = "pooled".to_owned()) as fn(&mut Signature),
                "output `vectors` does not exist, there are `pooled`",
            ),
            (|found| found.inputs[0].data_type = DataType::I32, "input `ids` is i32 [-1, -1], not i64 [-1, -1]"),
            (
                |found| found.outputs[0].shape[1] = Axis::Fixed(768),
                "output `vectors` is f32 [-1, 768], not f32 [-1, 384]",
            ),
            (|found| found.outputs[0].shape.truncate(1), "output `vectors` is f32 [-1], not f32 [-1, 384]"),
            (
                |found| found.inputs.push(spec("mask", DataType::I64, &[Axis::Free])),
                "input `mask` is needed and not declared",
            ),
        ] {
            assert_eq!(broken(change), message);
        }
    }
}
