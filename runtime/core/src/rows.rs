//! Rows of several tensors put together into one batch, and taken apart again.
//!
//! Everything here is pure: bytes in, bytes out, whatever they mean. [`gather`] and [`split`] are inverse to each other for
//! rows of one length; with a [`Ragged`] axis, shorter rows are filled up, and [`resized`] cuts that off again.

use crate::aligned::{AlignedBuffer, BufferPool};
use crate::{DataType, NamedTensor, Ragged, Tensor, TensorError};

/// Why tensors cannot share a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// There is nothing to put together.
    #[error("a batch needs at least one entry")]
    Empty,
    /// An entry lacks a tensor that the first one has, or has another type or rank there.
    #[error("input `{name}` does not fit that of the entry it would share a batch with")]
    Misfit {
        /// The input.
        name: String,
    },
    /// The result is too large to address.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Puts entries of the same inputs together along the outermost axis.
///
/// Along the ragged axis every entry is filled up to the longest with the pad values; all other axes must agree. The result
/// has the inputs of the first entry, in its order.
///
/// # Errors
/// [`GatherError`]; nothing is checked against a signature here.
pub fn gather(entries: &[&[NamedTensor]], ragged: Option<&Ragged>) -> Result<Vec<NamedTensor>, GatherError> {
    gather_into(&AlignedBuffer::zeroed, entries, ragged)
}

/// As [`gather`], into buffers of a pool.
///
/// # Errors
/// As [`gather`].
pub fn gather_pooled(
    pool: &BufferPool,
    entries: &[&[NamedTensor]],
    ragged: Option<&Ragged>,
) -> Result<Vec<NamedTensor>, GatherError> {
    gather_into(&|length_bytes| pool.zeroed(length_bytes), entries, ragged)
}

/// Gives a zeroed buffer of so many bytes.
type Allocate<'a> = &'a dyn Fn(usize) -> AlignedBuffer;

fn gather_into(
    allocate: Allocate<'_>,
    entries: &[&[NamedTensor]],
    ragged: Option<&Ragged>,
) -> Result<Vec<NamedTensor>, GatherError> {
    let first = entries.first().ok_or(GatherError::Empty)?;
    let gathered = |input: &NamedTensor| {
        let misfit = || GatherError::Misfit { name: input.name.clone() };
        let tensors = entries
            .iter()
            .map(|entry| entry.iter().find(|other| other.name == input.name).map(|found| &found.tensor))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(misfit)?;
        let pad = ragged.and_then(|ragged| Some((ragged.axis, *ragged.pad_values.get(&input.name)?)));
        let tensor = stacked(allocate, &tensors, pad)?.ok_or_else(misfit)?;
        Ok(NamedTensor::new(&*input.name, tensor))
    };
    first.iter().map(gathered).collect()
}

/// Cuts outputs into entries of these many rows each, sharing the bytes. `None` when an output has another number of rows.
#[must_use]
pub fn split(outputs: &[NamedTensor], rows: &[usize]) -> Option<Vec<Vec<NamedTensor>>> {
    let total: usize = rows.iter().sum();
    if outputs.iter().any(|output| output.tensor.shape().first() != Some(&total)) {
        return None;
    }
    let mut start = 0;
    rows.iter()
        .map(|&count| {
            let range = start..start + count;
            start = range.end;
            let cut = |output: &NamedTensor| Some(NamedTensor::new(&*output.name, output.tensor.rows(range.clone())?));
            outputs.iter().map(cut).collect()
        })
        .collect()
}

/// A copy of `tensor` in another shape of the same rank: cut where an axis is shorter, filled up where it is longer.
///
/// # Errors
/// [`TensorError`] when the new shape is too large to address.
///
/// # Panics
/// When the rank differs.
pub fn resized(tensor: &Tensor, shape: &[usize], fill: f64) -> Result<Tensor, TensorError> {
    assert_eq!(tensor.shape().len(), shape.len(), "resizing keeps the rank");
    if tensor.shape() == shape {
        return Ok(tensor.clone());
    }
    let mut buffer = filled(&AlignedBuffer::zeroed, tensor.data_type(), shape, fill)?;
    let kept: Vec<usize> = tensor.shape().iter().zip(shape).map(|(old, new)| *old.min(new)).collect();
    let size = tensor.data_type().size_bytes();
    copy_block(tensor.data(), tensor.shape(), buffer.as_mut_slice(), shape, &kept, size);
    Tensor::new(tensor.data_type(), shape, buffer.freeze())
}

/// Tensors one after the other along the outermost axis, filled up along one other axis. `None` when they do not fit.
fn stacked(
    allocate: Allocate<'_>,
    tensors: &[&Tensor],
    pad: Option<(usize, f64)>,
) -> Result<Option<Tensor>, TensorError> {
    let Some(first) = tensors.first().filter(|first| !first.shape().is_empty()) else { return Ok(None) };
    if let [only] = tensors {
        return Ok(Some((*only).clone()));
    }
    let mut shape = first.shape().to_vec();
    shape[0] = 0;
    for tensor in tensors {
        let other = tensor.shape();
        if tensor.data_type() != first.data_type() || other.len() != shape.len() {
            return Ok(None);
        }
        shape[0] += other[0];
        for axis in 1..shape.len() {
            match pad {
                Some((ragged, _)) if ragged == axis => shape[axis] = shape[axis].max(other[axis]),
                _ if shape[axis] != other[axis] => return Ok(None),
                _ => {}
            }
        }
    }
    let mut buffer = filled(allocate, first.data_type(), &shape, pad.map_or(0.0, |(_, value)| value))?;
    let size = first.data_type().size_bytes();
    let row_bytes = shape[1..].iter().product::<usize>() * size;
    let mut rest = buffer.as_mut_slice();
    for tensor in tensors {
        let (target, after) = std::mem::take(&mut rest).split_at_mut(tensor.shape()[0] * row_bytes);
        let mut target_shape = shape.clone();
        target_shape[0] = tensor.shape()[0];
        copy_block(tensor.data(), tensor.shape(), target, &target_shape, tensor.shape(), size);
        rest = after;
    }
    Tensor::new(first.data_type(), &shape, buffer.freeze()).map(Some)
}

/// A buffer for `shape`, every element `value`.
fn filled(
    allocate: Allocate<'_>,
    data_type: DataType,
    shape: &[usize],
    value: f64,
) -> Result<AlignedBuffer, TensorError> {
    let overflow = || TensorError::Overflow { shape: shape.to_vec(), data_type };
    let bytes = shape
        .iter()
        .try_fold(data_type.size_bytes(), |product, &axis| product.checked_mul(axis))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(overflow)?;
    let mut buffer = allocate(bytes);
    if value != 0.0 {
        let element = data_type.encode(value);
        buffer.as_mut_slice().chunks_exact_mut(element.len()).for_each(|slot| slot.copy_from_slice(&element));
    }
    Ok(buffer)
}

/// Copies the block `0..kept` of a row-major array into another.
fn copy_block(source: &[u8], from: &[usize], target: &mut [u8], to: &[usize], kept: &[usize], size: usize) {
    let inner = |shape: &[usize]| shape[1..].iter().product::<usize>() * size;
    match kept {
        [] => target.copy_from_slice(source),
        // From here inwards nothing is cut or filled up: one run of bytes.
        [count, ..] if from[1..] == to[1..] => {
            let bytes = count * inner(from);
            target[..bytes].copy_from_slice(&source[..bytes]);
        }
        [count, rest @ ..] => {
            let (step, stride) = (inner(from), inner(to));
            for index in 0..*count {
                let (source, target) = (&source[index * step..][..step], &mut target[index * stride..][..stride]);
                copy_block(source, &from[1..], target, &to[1..], rest, size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ragged(pad: f64) -> Ragged {
        Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values: BTreeMap::from([("ids".to_owned(), pad)]) }
    }

    fn entry(shape: &[usize], values: &[i64]) -> Vec<NamedTensor> {
        vec![NamedTensor::new("ids", Tensor::from_slice(shape, values).expect("fits"))]
    }

    #[test]
    fn shorter_rows_are_filled_up_with_the_pad_value() {
        let (a, b) = (entry(&[1, 3], &[1, 2, 3]), entry(&[2, 1], &[4, 5]));
        let batch = gather(&[&a, &b], Some(&ragged(-7.0))).expect("fit together");
        assert_eq!(batch[0].tensor.shape(), [3, 3]);
        assert_eq!(batch[0].tensor.view::<i64>().expect("i64"), [1, 2, 3, 4, -7, -7, 5, -7, -7]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (a, b) = (entry(&[1, 3], &[1, 2, 3]), entry(&[1, 2], &[4, 5]));
        assert_eq!(gather(&[&a, &b], None), Err(GatherError::Misfit { name: "ids".to_owned() }));
        assert_eq!(gather(&[&a, &[]], None), Err(GatherError::Misfit { name: "ids".to_owned() }));
        assert_eq!(gather(&[], None), Err(GatherError::Empty));
        let bytes = vec![NamedTensor::new("ids", Tensor::from_slice(&[1, 3], &[1_u8, 2, 3]).expect("fits"))];
        assert_eq!(gather(&[&a, &bytes], None), Err(GatherError::Misfit { name: "ids".to_owned() }));
    }

    #[test]
    fn a_lone_entry_is_not_copied() {
        let a = entry(&[1, 3], &[1, 2, 3]);
        let batch = gather(&[&a], None).expect("one entry");
        assert_eq!(batch[0].tensor.data().as_ptr(), a[0].tensor.data().as_ptr());
    }

    #[test]
    fn every_type_is_filled_with_its_own_encoding() {
        for data_type in DataType::ALL {
            let empty = Tensor::new(data_type, &[1, 0], bytes::Bytes::new()).expect("empty");
            let ones = resized(&empty, &[1, 2], 1.0).expect("small");
            assert_eq!(&ones.data()[..], data_type.encode(1.0).repeat(2), "{data_type}");
        }
    }

    #[test]
    fn outputs_of_another_number_of_rows_are_not_split() {
        let outputs = entry(&[3, 1], &[1, 2, 3]);
        assert_eq!(split(&outputs, &[1, 1]), None);
        let parts = split(&outputs, &[2, 1]).expect("three rows");
        assert_eq!(parts[1][0].tensor.view::<i64>().expect("i64"), [3]);
    }

    proptest! {
        #[test]
        fn split_undoes_gather(rows in proptest::collection::vec((1_usize..4, 1_usize..6), 1..6), pad in -5_i32..5) {
            let mut next = 0;
            let entries: Vec<_> = rows.iter().map(|&(count, length)| {
                let values: Vec<i64> = (0..count * length).map(|_| { next += 1; next }).collect();
                entry(&[count, length], &values)
            }).collect();
            let views: Vec<&[NamedTensor]> = entries.iter().map(Vec::as_slice).collect();
            let batch = gather(&views, Some(&ragged(f64::from(pad)))).expect("fit together");
            let counts: Vec<usize> = rows.iter().map(|row| row.0).collect();
            let parts = split(&batch, &counts).expect("as many rows as went in");
            for (part, entry) in parts.iter().zip(&entries) {
                let cut = resized(&part[0].tensor, entry[0].tensor.shape(), 0.0).expect("shorter");
                prop_assert_eq!(&cut, &entry[0].tensor);
            }
        }

        #[test]
        fn growing_and_cutting_back_changes_nothing(shape in proptest::collection::vec(1_usize..4, 1..4), more in 0_usize..3) {
            let values: Vec<u8> = (0..shape.iter().product::<usize>()).map(|value| value as u8).collect();
            let tensor = Tensor::from_slice(&shape, &values).expect("fits");
            let larger: Vec<usize> = shape.iter().map(|axis| axis + more).collect();
            let grown = resized(&tensor, &larger, 9.0).expect("small");
            prop_assert_eq!(resized(&grown, &shape, 0.0).expect("small"), tensor);
        }
    }
}
