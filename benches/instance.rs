//! What the sandbox costs: compiling a guest, reading its machine code back, an instance.
//!
//! `cargo xtask guests && cargo bench -p wisp-benches --bench instance`. What a request through a guest costs against the same
//! inference without one is a column of `wisp bench --target engine,backend --clients 1`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use criterion::{Criterion, criterion_group, criterion_main};
use wisp_host::{AotCache, Grants, Host, HostConfig, Limits, Terms};

const GUESTS: [&str; 2] = ["embedder", "embedder-portable"];

fn module(guest: &str) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    std::fs::read(folder.join(format!("{guest}.wasm"))).context("run `cargo xtask guests` first")
}

fn measure(criterion: &mut Criterion, guest: &str) -> Result<()> {
    let wasm = module(guest)?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let host = Host::new(HostConfig::default())?;
    let mut group = criterion.benchmark_group(guest);
    group.sample_size(10);
    group.bench_function("compile", |bencher| bencher.iter(|| host.load(guest, &wasm).map(drop)));
    group.finish();

    let cached = Host::new(HostConfig { aot_cache: Some(AotCache::at(folder.path())), ..HostConfig::default() })?;
    let loaded = cached.load(guest, &wasm)?;
    let mut group = criterion.benchmark_group(guest);
    group.bench_function("read machine code", |bencher| bencher.iter(|| cached.load(guest, &wasm).map(drop)));
    let (name, grants): (Arc<str>, _) = (guest.into(), Arc::new(Grants::default()));
    group.bench_function("instance, created and dropped", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| loaded.instantiate(Terms::new(Arc::clone(&name), Arc::clone(&grants), Limits::default())));
    });
    group.finish();
    Ok(())
}

fn instances(criterion: &mut Criterion) {
    for guest in GUESTS {
        if let Err(error) = measure(criterion, guest) {
            eprintln!("{guest}: {error:#}");
        }
    }
}

criterion_group!(benches, instances);
criterion_main!(benches);
