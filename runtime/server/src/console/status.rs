//! `GET /api/status`: what is served, on what, and what it has proven. It does not change while figures do.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wisp_engine::{CandidateReport, DeploymentInfo, GuestKind, ModelInfo, RequestLimits, SideBySide, Speed, Verdict};

use super::playground;
use super::routes::Console;

/// What is served.
#[derive(Serialize)]
struct Status<'a> {
    /// Of the program.
    version: &'static str,
    /// Whether it was built to be fast, or to be debugged.
    build: &'static str,
    /// What it was built for: processor and system.
    platform: String,
    models: Vec<Model<'a>>,
    deployments: Vec<Deployment>,
    /// The bounds of requests, as `[server.limits]` names them.
    limits: &'a RequestLimits,
    playground: playground::Offer,
}

/// A model in service, as `wisp serve` reports it at its start.
#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    backend: String,
    device: String,
    precision: String,
    /// Version of the library that runs it.
    library: &'a str,
    /// Why it runs like this, in a sentence.
    reason: &'a str,
    candidates: Vec<Candidate<'a>>,
    /// How close it came to the golden vectors; `null` for a model without any.
    golden: Option<Golden>,
    /// Whether rows of one length may share an inference.
    rows: Proof,
    /// Whether rows may be filled up to the length of longer ones.
    padding: Proof,
    /// `null` when it was not measured.
    speed: Option<Timing>,
    /// `null` when nobody asked how many sessions do most.
    sessions: Option<Sessions>,
}

#[derive(Serialize)]
struct Golden {
    cases: usize,
    min_cosine: f64,
    max_abs_error: f64,
}

/// Whether an optimisation may be used, and what was seen.
#[derive(Serialize)]
struct Proof {
    is_proven: bool,
    detail: String,
}

#[derive(Serialize)]
struct Timing {
    /// For one row.
    single_us: f64,
    /// For `rows` rows in one inference.
    batch_us: f64,
    rows: usize,
    /// Something else was running meanwhile.
    is_disturbed: bool,
}

#[derive(Serialize)]
struct Sessions {
    count: usize,
    rows_per_s: f64,
}

/// A file and precision that the choice was made from.
#[derive(Serialize)]
struct Candidate<'a> {
    precision: String,
    file: &'a str,
    speed: Option<Timing>,
    /// Why it is not used; `null` for what is proven.
    refused: Option<&'a str>,
    is_chosen: bool,
}

#[derive(Serialize)]
struct Deployment {
    name: String,
    guest: String,
    kind: &'static str,
    wasm_bytes: usize,
    models: Vec<Grant>,
    limits: Limits,
    /// For HTTP applications: how the paths begin that it answers.
    route: Option<String>,
}

/// A model that a guest may use, and the name it has there.
#[derive(Serialize)]
struct Grant {
    alias: String,
    model: String,
}

/// What one instance may use, as `[deployments.NAME.limits]` names it.
#[derive(Serialize)]
struct Limits {
    memory_bytes: usize,
    wall_ms: u64,
    tensor_bytes: usize,
    handles: usize,
    table_elements: usize,
    hostcall_bytes: usize,
    log_bytes: usize,
    /// `null` where it is not counted.
    fuel: Option<u64>,
    /// `null` where only the server's own bound holds.
    instances: Option<u32>,
}

pub(super) async fn status(State(Console { engine, .. }): State<Console>) -> Response {
    let models = engine.models();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        models: models.iter().map(Model::from).collect(),
        deployments: engine.deployments().into_iter().map(Deployment::from).collect(),
        limits: engine.limits(),
        playground: playground::Offer::of(&engine),
    };
    Json(status).into_response()
}

impl<'a> From<&'a ModelInfo> for Model<'a> {
    fn from(model: &'a ModelInfo) -> Self {
        let proof = &model.proof;
        Self {
            name: &model.name,
            backend: model.placement.backend.to_string(),
            device: model.placement.device.to_string(),
            precision: model.precision.to_string(),
            library: &model.library_version,
            reason: &model.reason,
            candidates: model.candidates.iter().map(Candidate::from).collect(),
            golden: proof.golden.map(|golden| Golden {
                cases: golden.cases,
                min_cosine: golden.min_cosine,
                max_abs_error: golden.max_abs_error,
            }),
            rows: Proof::from(&proof.batching.rows),
            padding: Proof::from(&proof.batching.padding),
            speed: proof.speed.map(Timing::from),
            sessions: proof.side_by_side.map(Sessions::from),
        }
    }
}

impl From<&Verdict> for Proof {
    fn from(verdict: &Verdict) -> Self {
        let detail = match verdict {
            Verdict::Proven { max_error: 0.0 } => "equal to the last bit".to_owned(),
            Verdict::Proven { max_error } => format!("largest error {max_error:.1e}"),
            Verdict::Refused { reason } => reason.clone(),
        };
        Self { is_proven: verdict.is_proven(), detail }
    }
}

impl From<Speed> for Timing {
    fn from(speed: Speed) -> Self {
        let Speed { single_us, batch_us, rows, .. } = speed;
        Self { single_us, batch_us, rows, is_disturbed: speed.is_disturbed() }
    }
}

impl From<SideBySide> for Sessions {
    fn from(sessions: SideBySide) -> Self {
        Self { count: sessions.sessions, rows_per_s: sessions.rows_per_s }
    }
}

impl<'a> From<&'a CandidateReport> for Candidate<'a> {
    fn from(candidate: &'a CandidateReport) -> Self {
        Self {
            precision: candidate.precision.to_string(),
            file: &candidate.file,
            speed: candidate.speed.map(Timing::from),
            refused: candidate.refused.as_deref(),
            is_chosen: candidate.is_chosen,
        }
    }
}

impl From<DeploymentInfo> for Deployment {
    fn from(info: DeploymentInfo) -> Self {
        let limits = info.limits;
        Self {
            name: info.name,
            guest: info.guest,
            kind: kind_name(info.kind),
            wasm_bytes: info.wasm_bytes,
            models: info.models.into_iter().map(|(alias, model)| Grant { alias, model }).collect(),
            limits: Limits {
                memory_bytes: limits.memory_bytes,
                wall_ms: u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX),
                tensor_bytes: limits.tensor_bytes,
                handles: limits.handles,
                table_elements: limits.table_elements,
                hostcall_bytes: limits.hostcall_bytes,
                log_bytes: limits.log_bytes,
                fuel: limits.fuel,
                instances: info.instances,
            },
            route: info.route,
        }
    }
}

/// What a guest is called as, in the words of the documentation.
pub(super) fn kind_name(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Embedder => "embedder",
        GuestKind::Classifier => "classifier",
        GuestKind::Http => "http",
        GuestKind::Program => "program",
    }
}
