//! What a start takes: from the start of the process to the first right answer, and each part of it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wisp_engine::{BUILTIN_PREFIX, Config, EmbedRequest, Engine};
use wisp_host::{AotCache, Grants, Host, HostConfig, Limits, Terms};
use wisp_model_store::{Home, NoProgress, Store};

use crate::BenchError;
use crate::process;
use crate::server::{ServerChild, ServerOptions};
use crate::session::Setting;
use crate::target::{GrpcOptions, GrpcTarget, Target};
use crate::variant::Variant;
use crate::{answer::Lane, answer::Question};

/// Starts with everything compiled and proven; the median counts.
const WARM_STARTS: usize = 5;

/// Instances that are made, after so many that are not counted.
const INSTANCES: usize = 500;
const WARM_UP_INSTANCES: usize = 50;

/// Longest time that the first answer is waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The text that is embedded.
const TEXT: &str = "where does the time go?";

/// What a start takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColdFigures {
    /// The placement and precision, where several were measured.
    pub variant: Option<String>,
    /// Milliseconds from the start of `wisp serve` to the first answer over gRPC, with nothing compiled or proven before.
    pub cold_ms: f64,
    /// The same when everything is: the median of some starts.
    pub warm_ms: f64,
    /// Of that, until it listened.
    pub warm_listening_ms: f64,
    /// Resident memory after the first answer, in bytes.
    pub resident_bytes: u64,
    /// Most resident memory until then.
    pub peak_bytes: u64,
    /// The parts.
    pub parts: StartParts,
}

/// The parts of a start, in a process of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartParts {
    /// Milliseconds to compile the guest's module to machine code.
    pub compile_ms: f64,
    /// Milliseconds to read the machine code back that was compiled before.
    pub aot_ms: f64,
    /// Microseconds for the first instance.
    pub first_instance_us: f64,
    /// Median microseconds for an instance, created and dropped.
    pub instance_us: f64,
    /// Milliseconds for the engine: libraries, models, their short proof, guests.
    pub engine_ms: f64,
    /// Milliseconds for the first embedding after that.
    pub first_embed_ms: f64,
    /// Milliseconds for the second.
    pub second_embed_ms: f64,
}

/// Measures starts of a variant, and restarts, in cache folders of their own.
///
/// # Errors
/// [`BenchError`] when it does not start.
pub fn measure_cold(setting: &Setting<'_>, variant: &Variant, deployment: &str) -> Result<ColdFigures, BenchError> {
    let name = variant.name.as_deref().unwrap_or("the configured placement");
    setting.progress.step(&format!("starts on {name}"), None);
    let folder = tempfile::tempdir().map_err(BenchError::io("a folder for starts"))?;
    let (real, home) = (setting.store.home(), Home::at(folder.path()));
    // What is fetched is no part of a start; what is compiled and proven is.
    for (from, to) in
        [(real.libraries(), home.libraries()), (real.models(), home.models()), (real.imported(), home.imported())]
    {
        std::fs::create_dir_all(&from).map_err(BenchError::io(from.display().to_string()))?;
        std::os::unix::fs::symlink(from, &to).map_err(BenchError::io(to.display().to_string()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("a thread for starts"))?;
    let once = || {
        let options = ServerOptions {
            program: setting.program,
            config: &variant.config,
            is_offline: false,
            home: Some(folder.path()),
        };
        runtime.block_on(start(&options, deployment))
    };
    let cold = once()?;
    let mut warm = (0..WARM_STARTS).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
    warm.sort_by(|a, b| a.answered_ms.total_cmp(&b.answered_ms));
    let parts = parts_in_a_process(setting, variant, folder.path(), deployment)?;
    setting.progress.done(&format!("starts on {name}"));
    let median = &warm[warm.len() / 2];
    Ok(ColdFigures {
        variant: variant.name.clone(),
        cold_ms: cold.answered_ms,
        warm_ms: median.answered_ms,
        warm_listening_ms: median.listening_ms,
        resident_bytes: median.resident_bytes,
        peak_bytes: median.peak_bytes,
        parts,
    })
}

/// One start.
struct Start {
    answered_ms: f64,
    listening_ms: f64,
    resident_bytes: u64,
    peak_bytes: u64,
}

async fn start(options: &ServerOptions<'_>, deployment: &str) -> Result<Start, BenchError> {
    let started_at = Instant::now();
    let server = ServerChild::start(options)?;
    let listening_ms = started_at.elapsed().as_secs_f64() * 1e3;
    let grpc =
        GrpcOptions { deployment: Some(deployment.to_owned()), connections: 1, timeout: ANSWER_LIMIT, token: None };
    let target = Target::Grpc(GrpcTarget::connect(&server.uri(), grpc).await?);
    let question = Question { texts: vec![TEXT.to_owned()], connection: 0, lane: Lane::default() };
    let answered = target.embed(question).await;
    let answered_ms = started_at.elapsed().as_secs_f64() * 1e3;
    answered.map_err(|failure| server.failed(&format!("did not answer: {}: {}", failure.code, failure.message)))?;
    let usage = process::usage(server.pid()).unwrap_or_default();
    drop(target);
    server.stop()?;
    Ok(Start { answered_ms, listening_ms, resident_bytes: usage.resident_bytes, peak_bytes: usage.peak_bytes })
}

/// The parts, by the hidden command `bench start-parts` of the program: libraries that are loaded already would hide a part.
fn parts_in_a_process(
    setting: &Setting<'_>,
    variant: &Variant,
    home: &Path,
    deployment: &str,
) -> Result<StartParts, BenchError> {
    let file = home.join("wisp.toml");
    std::fs::write(&file, variant.config.to_toml()).map_err(BenchError::io(file.display().to_string()))?;
    let output = std::process::Command::new(setting.program)
        .args(["bench", "start-parts", "--config"])
        .arg(&file)
        .args(["--deployment", deployment])
        .env("WISP_HOME", home)
        .output()
        .map_err(BenchError::io(setting.program.display().to_string()))?;
    serde_json::from_slice(&output.stdout).map_err(|error| BenchError::Server {
        what: format!("told no parts of its start: {error}"),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Measures the parts in this process, which has loaded nothing yet.
///
/// # Errors
/// [`BenchError`] when the engine does not start or the guest cannot be had.
pub fn start_parts(config: &Config, store: &Store, deployment: &str) -> Result<StartParts, BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("threads for the engine"))?;
    let (engine, engine_ms) = timed(|| Engine::start(config.clone(), store, &NoProgress));
    let engine = engine?;
    let embed = || {
        let request = EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([TEXT]) };
        timed(|| runtime.block_on(engine.embed(request)))
    };
    let unanswered =
        |error: wisp_engine::EngineError| BenchError::Server { what: error.to_string(), log: String::new() };
    let (first, first_embed_ms) = embed();
    first.map_err(unanswered)?;
    let (second, second_embed_ms) = embed();
    second.map_err(unanswered)?;

    let wasm = module(config, deployment)?;
    let failed = |error: wisp_host::HostError| BenchError::Server { what: error.to_string(), log: String::new() };
    let (compiled, compile_ms) = timed(|| Host::new(HostConfig::default())?.load(deployment, &wasm));
    compiled.map_err(failed)?;
    let host = HostConfig { aot_cache: Some(AotCache::at(store.home().aot())), ..HostConfig::default() };
    let host = Host::new(host).map_err(failed)?;
    let (guest, aot_ms) = timed(|| host.load(deployment, &wasm));
    let guest = guest.map_err(failed)?;
    let (name, grants): (std::sync::Arc<str>, _) = (deployment.into(), std::sync::Arc::new(Grants::default()));
    let terms = || Terms::new(name.clone(), grants.clone(), Limits::default());
    let mut instances = Vec::new();
    for _ in 0..WARM_UP_INSTANCES + INSTANCES {
        let (made, milliseconds) = timed(|| runtime.block_on(guest.instantiate(terms())));
        made.map_err(|error| BenchError::Server { what: error.to_string(), log: String::new() })?;
        instances.push(milliseconds * 1e3);
    }
    let first_instance_us = instances[0];
    let counted = &mut instances[WARM_UP_INSTANCES..];
    counted.sort_by(f64::total_cmp);
    let instance_us = counted[counted.len() / 2];
    Ok(StartParts { compile_ms, aot_ms, first_instance_us, instance_us, engine_ms, first_embed_ms, second_embed_ms })
}

fn module(config: &Config, deployment: &str) -> Result<Vec<u8>, BenchError> {
    let guest = config.deployments.get(deployment).map(|deployment| deployment.guest.as_str()).unwrap_or_default();
    match guest.strip_prefix(BUILTIN_PREFIX) {
        Some(builtin) => Ok(wisp_engine::builtin_guest(builtin).unwrap_or_default().to_vec()),
        None => std::fs::read(guest).map_err(BenchError::io(guest.to_owned())),
    }
}

/// A result and the milliseconds that it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let started_at = Instant::now();
    let result = run();
    (result, started_at.elapsed().as_secs_f64() * 1e3)
}
