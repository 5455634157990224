//! What the sandbox costs: an instance alone, and a request through a guest against the same inference without one.
//!
//! `cargo xtask guests && cargo bench -p wisp-benches --bench sandbox` prints the figures; `WISP_BENCH_ROUNDS` changes how
//! many rounds are run. Requests with and without guest alternate, so that a change of the machine's speed meets both.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use wisp_engine::{Config, DeploymentConfig, EmbedRequest, Engine, GuestLimits};
use wisp_host::GrantedModel;
use wisp_model_store::{Access, Home, NoProgress, Store};
use wisp_scheduler::Caller;

const MODEL: &str = "all-minilm-l6-v2";
const GUESTS: [&str; 2] = ["embedder", "embedder-portable"];

/// Sixteen tokens, special tokens included.
const TEXT: &str = "the quick brown fox jumps over the lazy dog and runs back home again";

const DEFAULT_ROUNDS: u32 = 1000;
const WARM_UP_ROUNDS: u32 = 50;

fn main() -> Result<()> {
    // `cargo test` builds and runs benchmarks too; measuring is only for `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = match std::env::var("WISP_BENCH_ROUNDS") {
        Ok(rounds) => rounds.parse().context("WISP_BENCH_ROUNDS")?,
        Err(_) => DEFAULT_ROUNDS,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(rounds))
}

async fn measure(rounds: u32) -> Result<()> {
    let engine = start()?;
    let model = &engine.models()[0];
    println!("{} on {} ({}), {rounds} rounds, one text of 16 tokens", model.name, model.placement, model.precision);
    println!("{:<44} {:>10} {:>10} {:>10} {:>10}", "", "p50 µs", "p90 µs", "p99 µs", "max µs");
    for guest in GUESTS {
        let alone = measure_instances(&engine, guest, rounds).await?;
        print_row(&format!("{guest}: instance create + drop"), &alone);
        let (instance, with, without) = measure_guest(&engine, guest, rounds).await?;
        print_row(&format!("{guest}: the same between inferences"), &instance);
        print_row(&format!("{guest}: request through the guest"), &with);
        print_row(&format!("{guest}: same inference without guest"), &without);
        let tax = microseconds(with.value_at_quantile(0.5)) - microseconds(without.value_at_quantile(0.5));
        println!("{:<44} {tax:>10.1}", format!("{guest}: difference at p50"));
    }
    Ok(())
}

fn start() -> Result<Engine> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    let mut config = Config::default();
    for guest in GUESTS {
        let deployment = DeploymentConfig {
            guest: folder.join(format!("{guest}.wasm")).display().to_string(),
            models: BTreeMap::from([("encoder".to_owned(), MODEL.to_owned())]),
            limits: GuestLimits::default(),
        };
        config.deployments.insert(guest.to_owned(), deployment);
    }
    let store = Store::new(Home::from_env()?, Access::Online);
    Engine::start(config, &store, &NoProgress).context("run `cargo xtask guests` first")
}

/// Instances one after the other, with warm caches.
async fn measure_instances(engine: &Engine, name: &str, rounds: u32) -> Result<Histogram<u64>> {
    let (guest, deployment, grants) = engine.guest(name).context("the deployment is configured")?;
    let mut instance = Histogram::new(3)?;
    for round in 0..WARM_UP_ROUNDS + rounds {
        let started_at = Instant::now();
        guest.instantiate(&deployment, &grants).await?;
        record(&mut instance, started_at.elapsed(), round >= WARM_UP_ROUNDS)?;
    }
    Ok(instance)
}

async fn measure_guest(
    engine: &Engine,
    name: &str,
    rounds: u32,
) -> Result<(Histogram<u64>, Histogram<u64>, Histogram<u64>)> {
    let (guest, deployment, grants) = engine.guest(name).context("the deployment is configured")?;
    let model = grants.get("encoder").context("the model is granted")?;
    let mut instance = Histogram::new(3)?;
    let mut with = Histogram::new(3)?;
    let mut without = Histogram::new(3)?;
    for round in 0..WARM_UP_ROUNDS + rounds {
        let is_counted = round >= WARM_UP_ROUNDS;
        let started_at = Instant::now();
        guest.instantiate(&deployment, &grants).await?;
        record(&mut instance, started_at.elapsed(), is_counted)?;

        let request = EmbedRequest { deployment: Some(name.to_owned()), ..EmbedRequest::texts([TEXT]) };
        let started_at = Instant::now();
        let answer = engine.embed(request).await?;
        record(&mut with, started_at.elapsed(), is_counted)?;
        anyhow::ensure!(answer.token_counts == [16], "the text has {:?} tokens, not 16", answer.token_counts);

        let started_at = Instant::now();
        embed_without_guest(model).await?;
        record(&mut without, started_at.elapsed(), is_counted)?;
    }
    Ok((instance, with, without))
}

/// What the fused guest does, in the host: tokenise, compute, read the vector.
async fn embed_without_guest(model: &GrantedModel) -> Result<Vec<f32>> {
    let tokenizer = model.tokenizer.as_ref().context("the model has a tokenizer")?;
    let ids = tokenizer.encode(vec![TEXT.to_owned()], true, true)?;
    let inputs = tokenizer.tensors(&[&ids[0]])?;
    let inferred = model.queue.infer(inputs, &Caller::default(), None, None).await?;
    let output = inferred.outputs.iter().find(|output| output.name == "sentence_embedding");
    Ok(output.context("the model pools")?.tensor.view::<f32>()?.to_vec())
}

fn record(histogram: &mut Histogram<u64>, elapsed: Duration, is_counted: bool) -> Result<()> {
    if is_counted {
        histogram.record(u64::try_from(elapsed.as_nanos())?)?;
    }
    Ok(())
}

fn print_row(name: &str, histogram: &Histogram<u64>) {
    let at = |quantile: f64| microseconds(histogram.value_at_quantile(quantile));
    let max = microseconds(histogram.max());
    println!("{name:<44} {:>10.1} {:>10.1} {:>10.1} {max:>10.1}", at(0.5), at(0.9), at(0.99));
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
