//! Static shapes: for devices that take no free axes, inputs are filled up to a shape the model was compiled for.

use std::borrow::Cow;

use wisp_core::{Axis, BackendError, NamedTensor, Ragged, Signature, StaticShape, TensorError, TensorSpec, rows};

/// Static shapes, smallest first, each once.
pub(super) fn ascending(shapes: &[StaticShape]) -> Vec<StaticShape> {
    let mut sorted: Vec<_> = shapes.iter().copied().filter(|shape| shape.rows > 0 && shape.length > 0).collect();
    sorted.sort_unstable_by_key(|shape| (shape.rows * shape.length, shape.length));
    sorted.dedup();
    sorted
}

/// The lengths of an input when the model is compiled for `shape`: free axes become the batch or the ragged axis; any other
/// free axis becomes 1, because nothing says how long it is.
pub(super) fn input_shape(spec: &TensorSpec, shape: StaticShape, ragged: Option<&Ragged>) -> Vec<i64> {
    let ragged_axis = ragged.map(|ragged| ragged.axis);
    let length = |(axis, declared): (usize, &Axis)| {
        let length = match declared {
            Axis::Fixed(length) => *length,
            Axis::Free if axis == 0 => shape.rows,
            Axis::Free if Some(axis) == ragged_axis => shape.length,
            Axis::Free => 1,
        };
        i64::try_from(length).unwrap_or(i64::MAX)
    };
    spec.shape.iter().enumerate().map(length).collect()
}

/// Rows and length of inputs that were checked against the signature.
pub(super) fn measured(inputs: &[NamedTensor], ragged: Option<&Ragged>) -> StaticShape {
    let axis =
        |axis: usize| inputs.iter().filter_map(|input| input.tensor.shape().get(axis)).copied().max().unwrap_or(1);
    StaticShape { rows: axis(0), length: ragged.map_or(1, |ragged| axis(ragged.axis)) }
}

/// The index of the smallest of ascending `shapes` that holds `wanted`.
///
/// # Errors
/// When none is large enough, naming the largest.
pub(super) fn smallest(shapes: &[StaticShape], wanted: StaticShape) -> Result<usize, BackendError> {
    let holds = |shape: &StaticShape| shape.rows >= wanted.rows && shape.length >= wanted.length;
    shapes.iter().position(holds).ok_or_else(|| {
        let listed: Vec<_> = shapes.iter().map(|shape| format!("{} × {}", shape.rows, shape.length)).collect();
        BackendError::Input(format!(
            "{} rows of length {} fit none of the shapes that the model is compiled for: {}",
            wanted.rows,
            wanted.length,
            listed.join(", ")
        ))
    })
}

/// Inputs filled up to `shape`. Missing rows repeat the first one, so that no row is all padding: models divide by the
/// number of tokens.
pub(super) fn filled<'a>(
    inputs: &'a [NamedTensor],
    signature: &Signature,
    shape: StaticShape,
    ragged: Option<&Ragged>,
) -> Result<Cow<'a, [NamedTensor]>, BackendError> {
    if measured(inputs, ragged) == shape {
        return Ok(Cow::Borrowed(inputs));
    }
    let fill = |input: &NamedTensor| {
        let spec = signature.input(&input.name);
        let (axis, value) = match ragged.and_then(|ragged| Some((ragged.axis, *ragged.pad_values.get(&input.name)?))) {
            Some((axis, value)) if spec.is_some_and(|spec| spec.shape.get(axis) == Some(&Axis::Free)) => (axis, value),
            _ => (usize::MAX, 0.0),
        };
        let mut lengths = input.tensor.shape().to_vec();
        if let Some(length) = lengths.get_mut(axis) {
            *length = shape.length;
        }
        let long = rows::resized(&input.tensor, &lengths, value)?;
        let missing = shape.rows.saturating_sub(lengths[0]);
        let first = long.rows(0..1).unwrap_or_else(|| long.clone());
        let mut entries = vec![vec![NamedTensor::new(&*input.name, long)]];
        entries.extend((0..missing).map(|_| vec![NamedTensor::new(&*input.name, first.clone())]));
        let views: Vec<&[NamedTensor]> = entries.iter().map(Vec::as_slice).collect();
        let mut gathered = rows::gather(&views, None).map_err(|error| BackendError::Input(error.to_string()))?;
        gathered.pop().ok_or_else(|| BackendError::Input(format!("input `{}` is empty", input.name)))
    };
    Ok(Cow::Owned(inputs.iter().map(fill).collect::<Result<_, _>>()?))
}

/// An output cut back to the rows and the length that came in.
pub(super) fn cut(
    output: NamedTensor,
    spec: &TensorSpec,
    compiled: StaticShape,
    wanted: StaticShape,
) -> Result<NamedTensor, TensorError> {
    let lengths: Vec<usize> = output
        .tensor
        .shape()
        .iter()
        .enumerate()
        .map(|(axis, &length)| match spec.shape.get(axis) {
            Some(Axis::Free) if axis == 0 && length == compiled.rows => wanted.rows,
            Some(Axis::Free) if axis > 0 && length == compiled.length => wanted.length,
            _ => length,
        })
        .collect();
    let tensor = rows::resized(&output.tensor, &lengths, 0.0)?;
    Ok(NamedTensor::new(output.name, tensor))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wisp_core::{DataType, Tensor};

    use super::*;

    const fn shape(rows: usize, length: usize) -> StaticShape {
        StaticShape { rows, length }
    }

    fn ragged() -> Ragged {
        let pad_values = BTreeMap::from([("ids".to_owned(), 7.0), ("mask".to_owned(), 0.0)]);
        Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values }
    }

    fn spec(name: &str, shape: &[Axis]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), data_type: DataType::I64, shape: shape.to_vec(), below: None }
    }

    fn signature() -> Signature {
        let inputs = ["ids", "mask"].map(|name| spec(name, &[Axis::Free, Axis::Free]));
        Signature { inputs: inputs.to_vec(), outputs: vec![spec("out", &[Axis::Free, Axis::Free])] }
    }

    fn tensor(name: &str, shape: &[usize], values: &[i64]) -> NamedTensor {
        NamedTensor::new(name, Tensor::from_slice(shape, values).expect("fits"))
    }

    #[test]
    fn the_smallest_shape_that_holds_all_is_taken() {
        let shapes = ascending(&[shape(8, 64), shape(1, 128), shape(1, 32), shape(1, 32), shape(0, 9)]);
        assert_eq!(shapes, [shape(1, 32), shape(1, 128), shape(8, 64)]);
        assert_eq!(smallest(&shapes, shape(1, 20)).expect("fits"), 0);
        assert_eq!(smallest(&shapes, shape(1, 33)).expect("fits"), 1);
        assert_eq!(smallest(&shapes, shape(2, 20)).expect("fits"), 2);
        let error = smallest(&shapes, shape(1, 200)).expect_err("longer than all").to_string();
        assert_eq!(
            error,
            "1 rows of length 200 fit none of the shapes that the model is compiled for: 1 × 32, 1 × 128, 8 × 64"
        );
    }

    #[test]
    fn inputs_are_filled_up_and_outputs_cut_back() {
        let inputs = [tensor("ids", &[1, 2], &[1, 2]), tensor("mask", &[1, 2], &[1, 1])];
        let filled = filled(&inputs, &signature(), shape(2, 3), Some(&ragged())).expect("fits");
        assert_eq!(filled[0].tensor.view::<i64>().expect("i64"), [1, 2, 7, 1, 2, 7]);
        assert_eq!(filled[1].tensor.view::<i64>().expect("i64"), [1, 1, 0, 1, 1, 0]);
        let output = tensor("out", &[2, 3], &[10, 20, 0, 10, 20, 0]);
        let out = cut(output, &signature().outputs[0], shape(2, 3), shape(1, 2)).expect("smaller");
        assert_eq!(out.tensor.view::<i64>().expect("i64"), [10, 20]);
    }

    #[test]
    fn inputs_of_the_very_shape_are_not_copied() {
        let inputs = [tensor("ids", &[1, 2], &[1, 2]), tensor("mask", &[1, 2], &[1, 1])];
        let filled = filled(&inputs, &signature(), shape(1, 2), Some(&ragged())).expect("fits");
        assert!(matches!(filled, Cow::Borrowed(_)));
    }

    #[test]
    fn fixed_axes_stay_and_unknown_ones_become_one() {
        let spec = spec("x", &[Axis::Free, Axis::Fixed(3), Axis::Free]);
        assert_eq!(input_shape(&spec, shape(4, 9), Some(&ragged())), [4, 3, 1]);
    }
}
