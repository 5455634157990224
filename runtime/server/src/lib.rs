//! The service: gRPC in front of an [`Engine`](wisp_engine::Engine).
//!
//! One listener carries `wisp.v1.InferenceService`, `grpc.health.v1` and reflection, another one metrics and probes over
//! HTTP, and a third one the HTTP applications, where any is deployed. [`Server::run`] serves until it is
//! told to stop, then drains: health turns NOT_SERVING, new requests get UNAVAILABLE, and those in the engine finish.
//!
//! The tables from [`ErrorKind`](wisp_core::ErrorKind) to the status of gRPC and HTTP are in `status.rs`, and nowhere else.

#![forbid(unsafe_code)]

mod admin;
mod applications;
mod connection;
mod deadline;
mod door;
mod embed;
mod error;
mod identity;
mod readiness;
mod receive;
mod rest;
mod serve;
mod status;

pub use error::ServeError;
pub use serve::{DRAIN_LIMIT, Drained, Reserved, Server};
