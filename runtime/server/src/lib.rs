//! The service: gRPC in front of an [`Engine`](wisp_engine::Engine).
//!
//! One listener carries `wisp.v1.InferenceService`, `grpc.health.v1` and reflection, another one the APIs over HTTP and the
//! HTTP applications (and gRPC as well), and a third one metrics and probes. [`Server::run`] serves until it is told to stop,
//! then drains: health turns NOT_SERVING, connections are told to end, and what was begun is finished.
//!
//! The tables from [`ErrorKind`](wisp_core::ErrorKind) to the status of gRPC and HTTP are in `status.rs`, and nowhere else.

#![forbid(unsafe_code)]

mod admin;
mod applications;
mod caller;
mod classify;
mod console;
mod cors;
mod deadline;
pub mod decoders;
mod door;
mod embed;
mod error;
mod front;
mod identity;
mod in_order;
mod listen;
mod metrics;
mod oip;
mod readiness;
mod receive;
mod refusal;
mod rest;
mod secrets;
mod serve;
mod status;
mod telemetry;
mod transport;
mod upload;

pub use error::ServeError;
pub use listen::Reserved;
#[doc(hidden)]
pub use oip::{decode_body, decode_message};
pub use serve::{Drained, Reload, Server};
pub use telemetry::{FLUSH_LIMIT, Telemetry, TelemetryError};
pub use transport::TlsError;
