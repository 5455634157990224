//! What each backend and precision is worth on this machine: throughput in process, time to the first embedding, memory.
//!
//! `cargo xtask guests && cargo bench -p wisp-benches --bench backends` prints two tables. Throughput goes through a session's
//! queue without a guest, in turn over all combinations, and each figure is the median of its runs. Start and memory come from a
//! process of its own for each combination: cold without anything compiled or proven before, then warm.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wisp_core::{BackendId, Device, NamedTensor, Placement, Precision, Tensor};
use wisp_engine::{Config, EmbedRequest, Engine, PrecisionChoice};
use wisp_host::GrantedModel;
use wisp_model_store::{Access, Home, NoProgress, Store};
use wisp_scheduler::Caller;

const MODEL: &str = "all-minilm-l6-v2";

/// Rows and tokens of a batch, as tables of peers have them: a short text has 16 tokens, a long one about 170.
const SHAPES: [(usize, usize); 4] = [(1, 16), (32, 16), (1, 168), (32, 168)];

/// Time that one figure may take.
const BUDGET: Duration = Duration::from_millis(1500);

/// The argument with which this program starts itself to measure a start.
const CHILD: &str = "--measure-start";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, placement, precision, ..] = &arguments[..]
        && flag == CHILD
    {
        return measure_start(placement, precision);
    }
    // `cargo test` builds and runs benchmarks too; measuring is only for `cargo bench`.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let combinations = runtime.block_on(throughput())?;
    starts(&combinations)
}

/// Every backend on the CPU in every precision, as far as it loads and proves itself.
fn candidates() -> impl Iterator<Item = (Placement, Precision)> {
    let placements = BackendId::ALL.map(|backend| Placement { backend, device: Device::Cpu });
    placements.into_iter().flat_map(|placement| Precision::ALL.map(|precision| (placement, precision)))
}

fn config(placement: Placement, precision: Precision) -> Config {
    let mut config = Config::default();
    for model in config.models.values_mut() {
        (model.placement, model.precision) = (vec![placement], PrecisionChoice::Exactly(precision));
        // The shapes are what is measured: nothing may cut them.
        model.batching.max_batch_ms = 3_600_000;
    }
    config
}

async fn throughput() -> Result<Vec<(Placement, Precision)>> {
    let store = Store::new(Home::from_env()?, Access::Online);
    println!("texts a second in process, {MODEL}, rows × tokens");
    println!("{:<24}{}", "", SHAPES.map(|(rows, tokens)| format!("{:>12}", format!("{rows} × {tokens}"))).concat());
    let mut ran = Vec::new();
    for (placement, precision) in candidates() {
        let engine = match Engine::start(config(placement, precision), &store, &NoProgress) {
            Ok(engine) => engine,
            Err(error) => {
                let reason = error.to_string();
                println!(
                    "{:<24}{}",
                    format!("{placement} {precision}"),
                    reason.lines().last().unwrap_or_default().trim()
                );
                continue;
            }
        };
        let (_, _, grants) = engine.guest("embedder").context("the default deployment")?;
        let model = grants.get("encoder").context("its model")?;
        let mut cells = String::new();
        for (rows, tokens) in SHAPES {
            let seconds = median_seconds(model, rows, tokens).await?;
            cells += &format!("{:>12.0}", rows as f64 / seconds);
        }
        println!("{:<24}{cells}", format!("{placement} {precision}"));
        ran.push((placement, precision));
    }
    Ok(ran)
}

async fn median_seconds(model: &Arc<GrantedModel>, rows: usize, tokens: usize) -> Result<f64> {
    let input = |name: &str, value: &dyn Fn(usize) -> i64| -> Result<NamedTensor> {
        let values: Vec<i64> = (0..rows * tokens).map(value).collect();
        Ok(NamedTensor::new(name, Tensor::from_slice(&[rows, tokens], &values)?))
    };
    let batch = vec![
        input("input_ids", &|index| 1000 + (index as i64 * 7919) % 25_000)?,
        input("attention_mask", &|_| 1)?,
        input("token_type_ids", &|_| 0)?,
    ];
    let caller = Caller::default();
    model.queue.infer(batch.clone(), &caller, None, None).await?;
    let begun_at = Instant::now();
    let mut runs = Vec::new();
    while begun_at.elapsed() < BUDGET || runs.len() < 3 {
        let started_at = Instant::now();
        model.queue.infer(batch.clone(), &caller, None, None).await?;
        runs.push(started_at.elapsed().as_secs_f64());
    }
    runs.sort_by(f64::total_cmp);
    Ok(runs[runs.len() / 2])
}

/// What the child prints: milliseconds are the parent's to measure.
fn measure_start(placement: &str, precision: &str) -> Result<()> {
    let store = Store::new(Home::from_env()?, Access::Offline);
    let engine = Engine::start(config(placement.parse()?, precision.parse()?), &store, &NoProgress)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(engine.embed(EmbedRequest::texts(["where does the time go?"])))?;
    anyhow::ensure!(answer.dimensions == 384, "a vector of {} dimensions", answer.dimensions);
    let status = std::fs::read_to_string("/proc/self/status").context("Linux tells the memory of a process")?;
    let kilobytes = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or("0").to_owned()
    };
    println!("{} {}", kilobytes("VmRSS:"), kilobytes("VmHWM:"));
    Ok(())
}

fn starts(combinations: &[(Placement, Precision)]) -> Result<()> {
    println!("\nprocess start to the first embedding through the guest, and memory");
    println!("{:<24}{:>12}{:>12}{:>14}{:>12}", "", "cold ms", "warm ms", "resident MB", "peak MB");
    let real = Home::from_env()?;
    for &(placement, precision) in combinations {
        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path());
        for (from, to) in
            [(real.libraries(), home.libraries()), (real.models(), home.models()), (real.aot(), home.aot())]
        {
            std::os::unix::fs::symlink(from, to)?;
        }
        let cold = start(folder.path(), placement, precision)?;
        let mut warm: Vec<_> = (0..5).map(|_| start(folder.path(), placement, precision)).collect::<Result<_>>()?;
        warm.sort_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
        let Start { milliseconds, resident_mb, peak_mb } = &warm[warm.len() / 2];
        let name = format!("{placement} {precision}");
        println!("{name:<24}{:>12.0}{milliseconds:>12.0}{resident_mb:>14.0}{peak_mb:>12.0}", cold.milliseconds);
    }
    Ok(())
}

struct Start {
    milliseconds: f64,
    resident_mb: f64,
    peak_mb: f64,
}

fn start(home: &Path, placement: Placement, precision: Precision) -> Result<Start> {
    let started_at = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args([CHILD, &placement.to_string(), precision.name()])
        .env("WISP_HOME", home)
        .stderr(Stdio::inherit())
        .output()?;
    let milliseconds = started_at.elapsed().as_secs_f64() * 1e3;
    if !output.status.success() {
        bail!("{placement} {precision} did not start: {}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().unwrap_or(0.0) / 1e3);
    Ok(Start { milliseconds, resident_mb: figures.next().unwrap_or(0.0), peak_mb: figures.next().unwrap_or(0.0) })
}
