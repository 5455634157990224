//! Putting rows together and taking results apart: what a batch costs beside its inference.
//!
//! `cargo bench -p wisp-benches --bench rows`

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wisp_core::rows::{gather, resized, split};
use wisp_core::{NamedTensor, Ragged, Tensor, TensorError};

/// Inputs of an encoder, each i64 `[rows, length]`.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Rows of a batch, and the tokens of the longest.
const SHAPES: [(usize, usize); 4] = [(1, 16), (8, 16), (32, 16), (32, 168)];

/// Values of a pooled vector, and of the hidden state of a token.
const DIMENSIONS: usize = 384;

fn ragged() -> Ragged {
    let pad_values = INPUTS.iter().map(|&name| (name.to_owned(), 0.0));
    Ragged { axis: 1, mask_input: "attention_mask".to_owned(), pad_values: pad_values.collect::<BTreeMap<_, _>>() }
}

/// A request of one row.
fn entry(length: usize) -> Result<Vec<NamedTensor>, TensorError> {
    let values: Vec<i64> = (0..length as i64).collect();
    INPUTS.iter().map(|&name| Ok(NamedTensor::new(name, Tensor::from_slice(&[1, length], &values)?))).collect()
}

/// Rows of one length, or every second of them a quarter shorter.
fn entries(rows: usize, longest: usize, is_ragged: bool) -> Result<Vec<Vec<NamedTensor>>, TensorError> {
    (0..rows).map(|row| entry(if is_ragged && row % 2 == 1 { longest * 3 / 4 } else { longest })).collect()
}

fn gathering(criterion: &mut Criterion) {
    let ragged = ragged();
    for (name, is_ragged) in [("gather, one length", false), ("gather, padded", true)] {
        let mut group = criterion.benchmark_group(name);
        for (rows, longest) in SHAPES {
            let entries = entries(rows, longest, is_ragged).expect("shapes and values agree");
            let views: Vec<&[NamedTensor]> = entries.iter().map(Vec::as_slice).collect();
            group.throughput(Throughput::Elements((rows * longest) as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{longest}")), |bencher| {
                bencher.iter(|| gather(black_box(&views), Some(&ragged)));
            });
        }
        group.finish();
    }
}

fn splitting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split, pooled vectors");
    for rows in [1, 8, 32] {
        let tensor = Tensor::from_slice(&[rows, DIMENSIONS], &vec![0.5_f32; rows * DIMENSIONS]);
        let outputs = [NamedTensor::new("sentence_embedding", tensor.expect("shape and values agree"))];
        let counts = vec![1; rows];
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| split(black_box(&outputs), &counts));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("cut padding off hidden states");
    for (from, to) in [(16, 12), (168, 16)] {
        let states = Tensor::from_slice(&[1, from, DIMENSIONS], &vec![0.5_f32; from * DIMENSIONS]);
        let states = states.expect("shape and values agree");
        group.bench_function(BenchmarkId::from_parameter(format!("{from} to {to} tokens")), |bencher| {
            bencher.iter(|| resized(black_box(&states), &[1, to, DIMENSIONS], 0.0));
        });
    }
    group.finish();
}

criterion_group!(benches, gathering, splitting);
criterion_main!(benches);
