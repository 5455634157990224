//! Rows put together and taken apart: what comes out is what went in, whatever the shapes, types and pad values are.
//!
//! `cargo +nightly fuzz run rows`, in `runtime/`.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wisp_core::aligned::BufferPool;
use wisp_core::rows::{gather, gather_pooled, resized, split};
use wisp_core::{NamedTensor, Ragged, Tensor};

/// Entries of one batch.
#[derive(Arbitrary, Debug)]
struct Input {
    entries: Vec<Entry>,
    width: u8,
    pad: i32,
    kind: Kind,
    is_ragged: bool,
}

/// Rows of one entry, and what is in them.
#[derive(Arbitrary, Debug)]
struct Entry {
    rows: u8,
    length: u8,
    seed: i64,
    /// The second tensor is one row longer than the first: a misfit that must be told, not believed.
    is_uneven: bool,
}

/// The types that models take.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Bytes,
    Integers,
    Floats,
}

/// Bounds that keep one case short.
const MOST_ENTRIES: usize = 12;
const MOST: usize = 9;

fuzz_target!(|input: Input| {
    let width = usize::from(input.width) % 4 + 1;
    let entries: Vec<Vec<NamedTensor>> =
        input.entries.iter().take(MOST_ENTRIES).map(|entry| tensors(entry, width, input.kind)).collect();
    let views: Vec<&[NamedTensor]> = entries.iter().map(Vec::as_slice).collect();
    let pad = match input.kind {
        Kind::Bytes => f64::from(input.pad.rem_euclid(256)),
        Kind::Integers | Kind::Floats => f64::from(input.pad),
    };
    let pad_values = BTreeMap::from([("ids".to_owned(), pad), ("mask".to_owned(), 0.0)]);
    let ragged = Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values };
    let ragged = input.is_ragged.then_some(&ragged);
    let pooled = gather_pooled(&BufferPool::default(), &views, ragged);
    let batch = gather(&views, ragged);
    assert_eq!(pooled, batch, "where the buffer comes from changes nothing");
    let lengths: Vec<usize> = entries.iter().map(|entry| entry[0].tensor.shape()[1]).collect();
    let is_one_length = lengths.windows(2).all(|pair| pair[0] == pair[1]);
    let Ok(batch) = batch else {
        assert!(entries.is_empty() || !(is_one_length || input.is_ragged), "rows that fit together are taken");
        return;
    };
    let counts: Vec<usize> = entries.iter().map(|entry| entry[0].tensor.shape()[0]).collect();
    let is_even = input.entries.iter().take(MOST_ENTRIES).all(|entry| !entry.is_uneven);
    let Some(parts) = split(&batch, &counts) else {
        assert!(!is_even, "as many rows as went in can be taken out");
        return;
    };
    assert!(is_even, "a tensor with other rows than the counts say is refused");
    for (part, entry) in parts.iter().zip(&entries) {
        for (cut, whole) in part.iter().zip(entry) {
            let cut = resized(&cut.tensor, whole.tensor.shape(), 0.0).expect("is no longer than the batch");
            assert_eq!(cut, whole.tensor);
        }
    }
});

/// `ids` of the entry's type, and a `mask` beside it.
fn tensors(entry: &Entry, width: usize, kind: Kind) -> Vec<NamedTensor> {
    let (rows, length) = (usize::from(entry.rows) % MOST + 1, usize::from(entry.length) % MOST + 1);
    let shape = [rows, length, width];
    let values = (0..(rows * length * width) as i64).map(|value| entry.seed.wrapping_mul(31).wrapping_add(value));
    let ids = match kind {
        Kind::Bytes => Tensor::from_slice(&shape, &values.map(|value| value as u8).collect::<Vec<_>>()),
        Kind::Integers => Tensor::from_slice(&shape, &values.collect::<Vec<_>>()),
        Kind::Floats => Tensor::from_slice(&shape, &values.map(|value| value as i32 as f32).collect::<Vec<_>>()),
    };
    let mask_rows = rows + usize::from(entry.is_uneven);
    let mask = Tensor::from_slice(&[mask_rows, length], &vec![1_i64; mask_rows * length]);
    let named = |name: &str, tensor: Result<Tensor, _>| {
        NamedTensor::new(name, tensor.expect("as many values as the shape has"))
    };
    vec![named("ids", ids), named("mask", mask)]
}
