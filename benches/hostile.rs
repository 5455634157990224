//! Good requests among ten thousand hostile ones: whether every good one is answered, right, and in time.
//!
//! `cargo xtask guests && cargo bench -p wisp-benches --bench hostile`

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wisp_core::Kinded;
use wisp_engine::{Config, DeploymentConfig, EmbedRequest, Engine, GuestLimits};
use wisp_model_store::{Access, Home, NoProgress, Store};

/// Hostile requests.
const HOSTILE: usize = 10_000;

/// Hostile requests at one time.
const AT_ONCE: usize = 8;

/// What they do, in turn. The ones that never end are in a deployment whose time is short.
const BEHAVIOURS: [&str; 12] = [
    "trap",
    "stack",
    "allocate",
    "many-tensors",
    "ungranted",
    "bad-tensor",
    "wrong-type",
    "wrong-name",
    "short-result",
    "large-tensor",
    "loop",
    "spin-host",
];

/// The good requests, in turn.
const TEXTS: [&str; 4] = ["a quiet text", "another one", "The harbour was quiet that morning.", "x"];

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = Store::new(Home::from_env()?, Access::Online);
    let engine = Engine::start(config()?, &store, &NoProgress)?;
    runtime.block_on(async {
        let expected = Arc::new(expected(&engine).await?);
        let alone = good(&engine, &expected, Arc::new(AtomicBool::new(true)), 400).await?;
        report("good requests alone", &alone);
        let (answered, among) = mixed(&engine, &expected).await?;
        report("good requests among hostile ones", &among);
        println!("{HOSTILE} hostile requests ended as: {answered:?}");
        Ok(())
    })
}

fn config() -> Result<Config> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    let guest = folder.join("hostile.wasm");
    ensure!(guest.is_file(), "run `cargo xtask guests` first");
    let mut config = Config::default();
    let model = config.models.keys().next().context("the default model")?.clone();
    let limits = |wall_ms| GuestLimits { wall_ms, handles: 600, hostcall_bytes: 1 << 20, ..GuestLimits::default() };
    for (name, limits) in [("hostile", limits(5_000)), ("impatient", limits(50))] {
        let models = BTreeMap::from([("encoder".to_owned(), model.as_str().into())]);
        let guest = guest.display().to_string();
        config
            .deployments
            .insert(name.to_owned(), DeploymentConfig { guest, models, limits, ..DeploymentConfig::default() });
    }
    Ok(config)
}

async fn embed(engine: &Engine, deployment: &str, text: &str) -> Result<Vec<f32>, wisp_engine::EngineError> {
    let request = EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([text]) };
    engine.embed(request).await.map(|answer| answer.values)
}

async fn expected(engine: &Engine) -> Result<Vec<Vec<f32>>> {
    let mut vectors = Vec::new();
    for text in TEXTS {
        vectors.push(embed(engine, "embedder", text).await?);
    }
    Ok(vectors)
}

/// Times of good requests, sorted; every answer is compared. Goes on until `is_over`, and for `least` requests at least.
async fn good(engine: &Engine, expected: &[Vec<f32>], is_over: Arc<AtomicBool>, least: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while times.len() < least || !is_over.load(Ordering::Relaxed) {
        let index = times.len() % TEXTS.len();
        let started_at = Instant::now();
        let vector = embed(engine, "embedder", TEXTS[index]).await.context("a good request failed")?;
        times.push(started_at.elapsed());
        let dot: f32 = vector.iter().zip(&expected[index]).map(|(a, b)| a * b).sum();
        ensure!(dot > 0.999, "a good request was answered wrongly: cosine {dot} for `{}`", TEXTS[index]);
    }
    times.sort_unstable();
    Ok(times)
}

type Counts = BTreeMap<String, usize>;

async fn mixed(engine: &Engine, expected: &Arc<Vec<Vec<f32>>>) -> Result<(Counts, Vec<Duration>)> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (among, over, vectors) = (engine.clone(), Arc::clone(&is_over), Arc::clone(expected));
    let good = tokio::spawn(async move { good(&among, &vectors, over, 1).await });
    let hostile: Vec<_> = (0..AT_ONCE).map(|first| tokio::spawn(hostile(engine.clone(), first))).collect();
    let mut counts = Counts::new();
    for task in hostile {
        for (kind, count) in task.await? {
            *counts.entry(kind).or_default() += count;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    Ok((counts, good.await??))
}

async fn hostile(engine: Engine, first: usize) -> Counts {
    let mut counts = Counts::new();
    for index in (first..HOSTILE).step_by(AT_ONCE) {
        let behaviour = BEHAVIOURS[index % BEHAVIOURS.len()];
        let deployment = if matches!(behaviour, "loop" | "spin-host") { "impatient" } else { "hostile" };
        let ended = embed(&engine, deployment, behaviour).await;
        let kind = ended.map_or_else(|error| format!("{:?}", error.kind()), |_| "Ok".to_owned());
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn report(what: &str, times: &[Duration]) {
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{what}: {} of {0} answered and right, p50 {:.2} ms, p99 {:.2} ms", times.len(), at(50), at(99));
}
