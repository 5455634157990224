//! The engine: everything between a request and its answer, without any protocol.
//!
//! A [`Config`] names models (what runs where) and deployments (a guest, and the models granted to it). [`Engine::start`]
//! loads both: each model is placed on the first backend and device of its list that works **and** whose answers agree
//! with the model's golden vectors. [`Engine::embed`] then checks a request, admits it, runs its deployment's guest in a
//! fresh instance, and reports what ran and where the time went.
//!
//! ```no_run
//! use wisp_engine::{Config, EmbedRequest, Engine};
//! use wisp_model_store::{Access, Home, NoProgress, Store};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::new(Home::from_env()?, Access::Online);
//! let engine = Engine::start(Config::default(), &store, &NoProgress)?;
//! let answer = engine.embed(EmbedRequest::texts(["where does the time go?"])).await?;
//! println!("{} vectors of {} dimensions", answer.vectors().count(), answer.dimensions);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod brought;
mod builtin;
mod calibrate;
mod cgroup;
mod classify;
mod config;
mod deployment;
mod door;
mod endpoint;
mod engine;
mod error;
mod estimate;
mod import;
mod infer;
mod instances;
mod libraries;
mod metrics;
mod model;
mod outside;
mod pod;
mod program;
mod prompts;
mod proof;
mod request;
mod room;
mod routes;
mod shelf;
mod tenants;
mod text_error;
mod trace;
mod trust;

pub use builtin::{BUILTIN_PREFIX, guest as builtin_guest};
pub use calibrate::{CalibrationError, calibrate};
pub use classify::{ClassifyError, ClassifyRequest, ClassifyResponse};
pub use config::{
    AuthConfig, BatchingConfig, ClientCertificates, Config, ConfigError, DeploymentConfig, DeviceConfig, DirConfig,
    DrainConfig, EnvConfig, GrantsConfig, GuestLimits, InstancesChoice, LoadChoice, ModelConfig, ModelGrantConfig,
    PrecisionChoice, RequestLimits, Scope, ServerConfig, SessionsChoice, TelemetryConfig, TenantConfig, TlsConfig,
    TrustConfig,
};
pub use deployment::{DeploymentHealth, DeploymentInfo};
pub use endpoint::{
    CANDIDATES_INPUT, DESCRIPTIONS_INPUT, EMBEDDINGS_OUTPUT, Endpoint, EndpointKind, IMAGES_INPUT, INDICES_OUTPUT,
    LABELS_OUTPUT, SCORES_OUTPUT, TEXTS_INPUT, TOKEN_COUNTS_OUTPUT,
};
pub use engine::{
    DecodeRequest, EmbedderFacts, Engine, HttpRequest, Ranked, Reloaded, RerankRequest, RerankResponse, TextModelFacts,
    TokenizeRequest, TokenizedTexts,
};
pub use error::{EngineError, StartError};
pub use import::{ImportError, ImportRequest, Imported, import};
pub use infer::{InferRequest, InferResponse, InferTensor, InputError, ValueSpec, ValueType, Values};
pub use libraries::{devices, is_bundled, probe_backend, use_probe_program};
pub use metrics::{Method, RefusalStage};
pub use model::{CandidateReport, ModelInfo, ProvenFile, Warmed, prove_model, warm_model};
pub use pod::{IMAGE_GUEST, PodImage};
pub use program::{Program, ProgramConfig};
pub use prompts::{Prompt, Prompts};
pub use proof::batching::{BatchingProof, Verdict};
pub use proof::cache::{Outcome, ProofRecord};
pub use proof::golden::GoldenProof;
pub use proof::speed::Speed;
pub use proof::{Proof, ProofError, SideBySide, proofs};
pub use request::{EmbedRequest, EmbedResponse, PlacementReport, RequestTimes};
pub use room::ModelNeed;
pub use tenants::{ANONYMOUS, Credentials, Identity, IdentityError};
pub use text_error::TextError;
pub use trust::TrustError;
pub use wisp_backends::end_process;
pub use wisp_host::{
    AotCache, CallError, CandidateLabel, Captured, ClassifyInput, ClassifyOptions, CodeFile, EmbedInputs, EmbedOptions,
    GuestBody, GuestBodyError, GuestKind, HostConfig, HostError, HttpGrant, InheritError, LabelScore, LabelScores,
    Limits, ProgramEnd, Streams, TensorTypes, Token, WrittenIn, check_node_cache, compile as compile_guest,
    forget_environment, kind_of as guest_kind, take_sealed,
};
pub use wisp_scheduler::{BatchRecord, BatchShare, Lane, Origin, Tenant, observe};
