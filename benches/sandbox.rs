//! What the sandbox costs: from a module's bytes to an instance, an instance and a call, an instance that waits, a copy.
//!
//! `cargo xtask guests && cargo bench -p wisp-benches --bench sandbox`. Percentiles of single events, not means of many: what a
//! request waits for is one instance. What a request through a guest costs against the same inference without one is a column of
//! `wisp bench --target engine,backend --clients 1`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;
use wisp_core::{
    Axis, BackendError, BackendId, Batch, DataType, Device, Layout, NamedTensor, Placement, Precision, Session,
    SessionInfo, Signature, Tensor, TensorSpec,
};
use wisp_host::{
    AotCache, EmbedCall, EmbedInputs, EmbedOptions, GrantedModel, Grants, Guest, Host, HostConfig, Limits, ModelGrant,
    Terms,
};
use wisp_scheduler::{QueueConfig, Served, spawn};

/// Guests that answer requests, and two of others: a component that is a program, and a core module.
const GUESTS: [&str; 5] = ["embedder", "embedder-portable", "http-images", "embed-nn", "image-witx"];

/// Events of each kind, after some that are not counted.
const EVENTS: usize = 2_000;
const WARM_UP: usize = 200;

/// Instances that wait at one time.
const WAITING: usize = 1_000;

/// Length of the vectors of the session that stands for a model here.
const DIMENSIONS: usize = 384;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("| what | guest | p50 | p99 | n |\n|---|---|---|---|---|");
    for guest in GUESTS {
        code(guest)?;
        instances(&runtime, guest)?;
    }
    calls(&runtime)?;
    waiting(&runtime)
}

fn module(guest: &str) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    std::fs::read(folder.join(format!("{guest}.wasm"))).context("run `cargo xtask guests` first")
}

/// Median and 99th percentile of single events, and a row of the table.
fn row(what: &str, guest: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    println!("| {what} | {guest} | {} | {} | {} |", micros(at(50)), micros(at(99)), times.len());
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started_at = Instant::now();
    let result = work();
    (result, started_at.elapsed())
}

/// From bytes to a linked guest: compiled, and read back.
fn code(guest: &str) -> Result<()> {
    let wasm = module(guest)?;
    let host = Host::new(HostConfig::default())?;
    let compiled = (0..5).map(|_| timed(|| host.load(guest, &wasm))).map(|(loaded, time)| Ok(loaded.map(|_| time)?));
    row("compile, link", guest, compiled.collect::<Result<_>>()?);
    let folder = tempfile::tempdir()?;
    let cached = Host::new(HostConfig { aot_cache: Some(AotCache::at(folder.path())), ..HostConfig::default() })?;
    cached.load(guest, &wasm)?;
    let read = (0..200).map(|_| timed(|| cached.load(guest, &wasm))).map(|(loaded, time)| Ok(loaded.map(|_| time)?));
    row("read machine code, link", guest, read.collect::<Result<_>>()?);
    Ok(())
}

/// An instance made and dropped, with and without the kernel's help.
fn instances(runtime: &Runtime, guest: &str) -> Result<()> {
    let wasm = module(guest)?;
    for (what, pagemap_scan) in [("instance, made and dropped", true), ("the same without PAGEMAP_SCAN", false)] {
        let loaded = Host::new(HostConfig { pagemap_scan, ..HostConfig::default() })?.load(guest, &wasm)?;
        let grants = Arc::new(Grants::default());
        let mut times = Vec::with_capacity(EVENTS);
        for event in 0..WARM_UP + EVENTS {
            let terms = Terms::new(guest.into(), Arc::clone(&grants), Limits::default());
            let (made, time) = timed(|| runtime.block_on(loaded.instantiate(terms)));
            made?;
            if event >= WARM_UP {
                times.push(time);
            }
        }
        row(what, guest, times);
    }
    Ok(())
}

/// A whole request through the portable guest, whose model answers at once: instance, tokenising, tensors in and out, pooling.
fn calls(runtime: &Runtime) -> Result<()> {
    let name = "embedder-portable";
    let wasm = module(name)?;
    let grants = Arc::new(grants(None)?);
    let fresh = Host::new(HostConfig::default())?.load(name, &wasm)?;
    for (what, guest) in
        [("request, fresh instance, no inference", fresh.clone()), ("the same, reused instance", fresh.reusing())]
    {
        let mut times = Vec::with_capacity(EVENTS);
        let mut copies = None;
        for event in 0..WARM_UP + EVENTS {
            let (answer, time) = timed(|| runtime.block_on(embed(&guest, Arc::clone(&grants), Duration::from_secs(5))));
            copies = Some(answer?);
            if event >= WARM_UP {
                times.push(time);
            }
        }
        row(what, name, times);
        if let Some(copies) = copies {
            println!(
                "| copies of a request: {} tensors of {} bytes in, {} of {} out | {name} | | | |",
                copies.tensors_in, copies.bytes_in, copies.tensors_out, copies.bytes_out
            );
        }
    }
    Ok(())
}

async fn embed(guest: &Guest, grants: Arc<Grants>, wall: Duration) -> Result<wisp_host::Copies> {
    let limits = Limits { wall, ..Limits::default() };
    let terms = Terms::new("bench".into(), grants, limits);
    let inputs = EmbedInputs::Texts(vec![
        "The harbour was quiet that morning, and nobody had come down to the boats.".to_owned(),
    ]);
    let answer = guest.embed(EmbedCall { terms, inputs, options: EmbedOptions::default() }).await?;
    Ok(answer.copies)
}

/// What an instance costs that waits for its model.
fn waiting(runtime: &Runtime) -> Result<()> {
    let name = "embedder-portable";
    let config = HostConfig { max_instances: WAITING as u32 + 1, ..HostConfig::default() };
    let guest = Host::new(config)?.load(name, &module(name)?)?;
    let (go, gate) = channel();
    let grants = Arc::new(grants(Some(gate))?);
    let before = resident_bytes()?;
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let (guest, grants) = (guest.clone(), Arc::clone(&grants));
            runtime.spawn(async move { embed(&guest, grants, Duration::from_secs(600)).await })
        })
        .collect();
    let queue = &grants.get("encoder").context("is granted")?.model.queue;
    while queue.queued() + 1 < WAITING {
        std::thread::sleep(Duration::from_millis(10));
    }
    let each = resident_bytes()?.saturating_sub(before) / WAITING;
    println!("\n{WAITING} instances of {name} that wait for their model: {each} bytes resident each");
    for _ in 0..WAITING {
        go.send(())?;
    }
    for waited in waiting {
        runtime.block_on(waited)??;
    }
    Ok(())
}

/// Resident memory of this process, what it maps many times counted once: instances share the pages of their module that they have
/// not written to. Source: proc(5), `Pss` of `smaps_rollup`.
fn resident_bytes() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    ensure!(kibibytes > 0, "no resident memory");
    Ok(kibibytes << 10)
}

/// Answers every inference with the same numbers, at once or when it is told to.
struct Prompt {
    info: SessionInfo,
    gate: Option<Mutex<Receiver<()>>>,
}

impl Session for Prompt {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { return Err(BackendError::Cancelled) };
        if let Some(gate) = &mut self.gate {
            let gate = gate.get_mut().map_err(|_| BackendError::Cancelled)?;
            gate.recv().map_err(|_| BackendError::Cancelled)?;
        }
        let mut shape = inputs[0].tensor.shape().to_vec();
        shape.push(DIMENSIONS);
        let values = vec![0.5_f32; shape.iter().product()];
        Ok(vec![NamedTensor::new("last_hidden_state", Tensor::from_slice(&shape, &values)?)])
    }
}

/// The grant of a model that answers at once, or when it is told to.
fn grants(gate: Option<Receiver<()>>) -> Result<Grants> {
    let input = |name: &str| TensorSpec {
        name: name.to_owned(),
        data_type: DataType::I64,
        shape: vec![Axis::Free, Axis::Free],
        below: None,
    };
    let hidden = TensorSpec {
        name: "last_hidden_state".to_owned(),
        data_type: DataType::F32,
        shape: vec![Axis::Free, Axis::Free, Axis::Fixed(DIMENSIONS)],
        below: None,
    };
    let info = SessionInfo {
        placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
        precision: Precision::F32,
        signature: Signature {
            inputs: ["input_ids", "attention_mask", "token_type_ids"].map(input).to_vec(),
            outputs: vec![hidden],
        },
        layouts: vec![Layout::Padded],
        fused_outputs: vec![],
        library_version: "bench".to_owned(),
    };
    let session = Box::new(Prompt { info, gate: gate.map(Mutex::new) });
    let queue = spawn(QueueConfig::unproven("bench"), vec![Served { session, recovery: None, processor: None }])?;
    let model = GrantedModel {
        name: "bench".to_owned(),
        queue,
        tokenizer: None,
        embedding: None,
        labels: vec![],
        max_batch_tokens: u32::MAX,
    };
    Ok(Grants::new([("encoder".to_owned(), ModelGrant::from(Arc::new(model)))]))
}
