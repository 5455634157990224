//! Choosing a batch out of what waits, and learning from an inference: what scheduling costs beside the inference.
//!
//! `cargo bench -p wisp-benches --bench policy`

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wisp_scheduler::policy::{Candidate, cheapest_group};
use wisp_scheduler::{BatchRules, Cost, CostModel, Size};

/// A small encoder on two cores: an inference costs what some twenty tokens do.
const COST: Cost = Cost { fixed_us: 2500.0, per_token_us: 130.0, per_pair_us: 0.06 };

/// Lengths as mixed texts have them: most short, some long.
fn candidates(count: usize) -> Vec<Candidate> {
    let length = |index: usize| 9 + (index * 7919) % 40 + if index.is_multiple_of(10) { 160 } else { 0 };
    (0..count).map(length).map(|length| Candidate { rows: 1, length, tokens: length }).collect()
}

fn rules(pads_rows: bool) -> BatchRules {
    BatchRules { shares_rows: true, pads_rows, max_rows: 64, max_tokens: 4096, ..BatchRules::unproven() }
}

fn choosing(criterion: &mut Criterion) {
    for (name, pads_rows) in [("choose, padded", true), ("choose, one length", false)] {
        let (rules, mut group) = (rules(pads_rows), criterion.benchmark_group(name));
        for waiting in [1, 8, 32, 128] {
            let candidates = candidates(waiting);
            group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
                bencher.iter(|| cheapest_group(black_box(&candidates), waiting / 2, &rules, &COST, 50_000.0));
            });
        }
        group.finish();
    }
}

fn learning(criterion: &mut Criterion) {
    let mut model = CostModel::new(Some(COST));
    let sizes = [(1, 16), (8, 16), (32, 16), (4, 120)].map(|(rows, length)| Size::padded(rows, length));
    let mut next = 0;
    criterion.bench_function("learn", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % sizes.len();
            model.observe(sizes[next], Duration::from_secs_f64(COST.of(sizes[next]) / 1e6));
        });
    });
}

criterion_group!(benches, choosing, learning);
criterion_main!(benches);
