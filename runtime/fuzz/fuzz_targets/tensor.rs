//! A tensor of any type over any bytes: what it takes, what it refuses, and what its views and rows are, against arithmetic
//! without a bound.

#![no_main]

use std::ops::Range;

use arbitrary::Arbitrary;
use bytes::Bytes;
use half::{bf16, f16};
use libfuzzer_sys::fuzz_target;
use wisp_core::{DataType, Element, RANK_LIMIT, Tensor, TensorError};

/// A tensor that somebody asks for.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    data_type: u8,
    shape: Shape,
    bytes: &'a [u8],
    /// Bytes that are cut off at the front, which moves the others to an address of any alignment.
    skipped: u8,
    rows: Range<u8>,
}

#[derive(Arbitrary, Debug)]
enum Shape {
    /// Any axes at all.
    Wild(Vec<usize>),
    /// Axes that bytes may fit.
    Small(Vec<u8>),
    /// One axis, as long as the bytes make it.
    Flat,
}

fuzz_target!(|input: Input<'_>| {
    let data_type = DataType::ALL[usize::from(input.data_type) % DataType::ALL.len()];
    let bytes = Bytes::copy_from_slice(input.bytes);
    let bytes = bytes.slice(bytes.len().min(usize::from(input.skipped))..);
    let shape: Vec<usize> = match &input.shape {
        Shape::Wild(axes) => axes.clone(),
        Shape::Small(axes) => axes.iter().map(|&axis| usize::from(axis)).collect(),
        Shape::Flat => vec![bytes.len() / data_type.size_bytes()],
    };
    match Tensor::new(data_type, &shape, bytes.clone()) {
        Ok(tensor) => {
            assert_eq!(needed(data_type, &shape), Some(bytes.len()), "{shape:?} of {data_type} is taken");
            check(&tensor, data_type, &shape, &bytes);
            check_rows(&tensor, usize::from(input.rows.start)..usize::from(input.rows.end));
        }
        Err(error) => check_refusal(&error, data_type, &shape, bytes.len()),
    }
});

/// Bytes that a tensor needs; `None` for more axes than there may be, or more bytes than Rust allocates even where no axis
/// is empty.
fn needed(data_type: DataType, shape: &[usize]) -> Option<usize> {
    let filled = shape.iter().filter(|&&axis| axis > 0);
    // With up to 16 axes a product may be longer than any number here; it has nowhere to go back from.
    let product = filled.fold(data_type.size_bytes() as u128, |product, &axis| product.saturating_mul(axis as u128));
    let is_allowed = shape.len() <= RANK_LIMIT && product <= isize::MAX as u128;
    let needed = if shape.contains(&0) { 0 } else { product as usize };
    is_allowed.then_some(needed)
}

fn check_refusal(error: &TensorError, data_type: DataType, shape: &[usize], length: usize) {
    match error {
        TensorError::Length { expected_bytes, actual_bytes, .. } => {
            assert_eq!((Some(*expected_bytes), *actual_bytes), (needed(data_type, shape), length));
            assert_ne!(expected_bytes, actual_bytes, "as many bytes as needed are taken");
        }
        TensorError::Overflow { .. } => assert_eq!(needed(data_type, shape), None, "{shape:?} can be addressed"),
        TensorError::Rank { rank } => assert!(*rank == shape.len() && *rank > RANK_LIMIT, "{rank} axes"),
        TensorError::Type { .. } => unreachable!("nobody asked for a view"),
    }
}

fn check(tensor: &Tensor, data_type: DataType, shape: &[usize], bytes: &[u8]) {
    assert_eq!((tensor.data_type(), tensor.shape()), (data_type, shape));
    assert_eq!(tensor.data(), bytes, "the bytes are those that were given");
    assert_eq!(tensor.data().as_ptr().addr() % data_type.size_bytes(), 0, "the bytes are aligned");
    assert_eq!(tensor.element_count(), bytes.len() / data_type.size_bytes());
    view::<f16>(tensor, bytes, |value| value.to_le_bytes().to_vec());
    view::<bf16>(tensor, bytes, |value| value.to_le_bytes().to_vec());
    view::<f32>(tensor, bytes, |value| value.to_le_bytes().to_vec());
    view::<f64>(tensor, bytes, |value| value.to_le_bytes().to_vec());
    view::<u8>(tensor, bytes, |value| vec![value]);
    view::<i32>(tensor, bytes, |value| value.to_le_bytes().to_vec());
    view::<i64>(tensor, bytes, |value| value.to_le_bytes().to_vec());
}

/// A view has the values of the bytes, and there is none as another type.
fn view<T: Element>(tensor: &Tensor, bytes: &[u8], to_bytes: impl Fn(T) -> Vec<u8>) {
    match tensor.view::<T>() {
        Ok(values) => {
            assert_eq!(tensor.data_type(), T::DATA_TYPE);
            let seen: Vec<u8> = values.iter().flat_map(|&value| to_bytes(value)).collect();
            assert_eq!(seen, bytes, "little-endian values");
        }
        Err(TensorError::Type { actual, requested }) => {
            assert!(actual == tensor.data_type() && requested == T::DATA_TYPE && actual != requested);
        }
        Err(error) => panic!("{error}"),
    }
}

/// Rows are there exactly when they are inside, and have the bytes between.
fn check_rows(tensor: &Tensor, rows: Range<usize>) {
    let (axis, rest) = match tensor.shape() {
        [] => return assert!(tensor.rows(rows).is_none(), "a scalar has no rows"),
        [axis, rest @ ..] => (*axis, rest),
    };
    let is_inside = rows.start <= rows.end && rows.end <= axis;
    let Some(cut) = tensor.rows(rows.clone()) else { return assert!(!is_inside, "{rows:?} of {axis}") };
    assert!(is_inside, "{rows:?} of {axis}");
    let row_bytes = tensor.data().len().checked_div(axis).unwrap_or(0);
    let shape: Vec<usize> = std::iter::once(rows.len()).chain(rest.iter().copied()).collect();
    let bytes = &tensor.data()[rows.start * row_bytes..rows.end * row_bytes];
    check(&cut, tensor.data_type(), &shape, bytes);
}
