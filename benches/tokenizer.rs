//! What tokenising in the host costs, for texts of several lengths, alone and many at one time.
//!
//! `cargo bench -p wisp-benches --bench tokenizer`. What the same costs inside a guest is the stage `guest` of
//! `wisp bench --deployments embedder,embedder-portable`, of which the second carries its own tokenizer.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wisp_bench::mix::Mix;
use wisp_engine::{Config, Engine};
use wisp_host::GrantedModel;
use wisp_model_store::{Access, Home, NoProgress, Store};

/// Texts of a request.
const TEXTS: [usize; 3] = [1, 8, 64];

/// The model whose tokenizer it is.
fn model() -> Result<Arc<GrantedModel>> {
    let store = Store::new(Home::from_env()?, Access::Online);
    let engine = Engine::start(Config::default(), &store, &NoProgress)?;
    let (_, _, grants) = engine.guest("embedder").context("the default deployment")?;
    Ok(Arc::clone(&grants.get("encoder").context("its model")?.model))
}

fn measure(criterion: &mut Criterion) -> Result<()> {
    let model = model()?;
    let tokenizer = model.tokenizer.as_ref().context("the model has a tokenizer")?;
    for mix in [Mix::Short, Mix::Mixed, Mix::Long] {
        let mut group = criterion.benchmark_group(format!("tokenize, {mix}"));
        for count in TEXTS {
            let texts = mix.texts(count, 1);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let encode = |texts| tokenizer.encode(black_box(texts), true, true);
                bencher.iter_batched(|| texts.clone(), encode, BatchSize::SmallInput);
            });
        }
        group.finish();
    }
    let rows = tokenizer.encode(Mix::Mixed.texts(32, 1), true, true)?;
    let views: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    criterion.bench_function("tensors of 32 mixed texts", |bencher| {
        bencher.iter(|| tokenizer.tensors(black_box(&views)));
    });
    Ok(())
}

fn tokenizing(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        eprintln!("tokenizer: {error:#}");
    }
}

criterion_group!(benches, tokenizing);
criterion_main!(benches);
