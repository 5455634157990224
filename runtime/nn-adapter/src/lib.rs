//! Wisp's sessions behind the traits of `wasmtime-wasi-nn`, for hosts that have a Wasmtime of their own.
//!
//! Such a host links `wasi:nn` by that crate and gives it backends and named graphs. With this crate they are
//! [`SessionQueue`](wisp_scheduler::SessionQueue)s: models on the devices that Wisp's backends run on, with admission, batches
//! and worker threads, shared by all stores of the process.
//!
//! - [`SessionRegistry`] holds queues by the name that guests load them under.
//! - [`SessionBackend`] starts models that guests bring as bytes, by a function of the host's.
//! - [`graph`] makes one queue a graph, for hosts with a registry of their own.
//! - [`Terms`] say on whose account guests compute, how long one `compute` may take, and what guests may hold.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use wasmtime_wasi_nn::wit::WasiNnCtx;
//! use wisp_core::{BackendId, LoadRequest, ModelFormat};
//! use wisp_nn_adapter::{SessionRegistry, Terms};
//! use wisp_scheduler::{QueueConfig, Served, spawn};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Once a process: a model becomes a session, and the session a queue.
//! let libraries = wisp_backends::Libraries {
//!     openvino: Some("/opt/openvino/libopenvino_c.so".into()),
//!     ..wisp_backends::Libraries::default()
//! };
//! let mut backends = wisp_backends::all(&libraries).into_iter();
//! let backend = backends.find(|backend| backend.id() == BackendId::OpenVino).ok_or("built without OpenVINO")?;
//! let file = Path::new("classifier.xml");
//! let signature = backend.inspect(file, ModelFormat::OpenVino)?;
//! let session = backend.load(&LoadRequest::plain("classifier", file, ModelFormat::OpenVino, &signature))?;
//! let served = Served { session, recovery: None, processor: None };
//! let queue = spawn(QueueConfig::unproven("classifier"), vec![served])?;
//! let registry = SessionRegistry::new([("classifier".to_owned(), queue)], &Terms::default());
//!
//! // Once a store: the clone shares the queues.
//! let context = WasiNnCtx::new([], registry.clone().into());
//! # let _ = context;
//! # Ok(())
//! # }
//! ```
//!
//! # What the crate's traits decide
//! They are synchronous: `compute` blocks the thread that the guest runs on until its answer is there or
//! [`Terms::compute_limit`] has passed. No runtime is needed for that, and it works on any thread, those of a runtime included,
//! whose other tasks then wait as well; a host with many guests gives each a thread, or uses `wisp-host`, where a waiting guest is a
//! parked fiber.
//!
//! Every failure is a [`BackendError`](wasmtime_wasi_nn::backend::BackendError). Guests are told that there was one, and not which:
//! `runtime-error`, with a fixed text. The reason, an [`AdapterError`], is in the crate's log.

#![forbid(unsafe_code)]

mod backend;
mod context;
mod convert;
mod error;
mod graph;
mod registry;
mod share;
mod terms;
#[cfg(test)]
mod tests;
mod waiting;

pub use backend::{LoadFunction, SessionBackend};
pub use error::AdapterError;
pub use graph::graph;
pub use registry::SessionRegistry;
pub use terms::Terms;

/// The examples of the documentation compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
