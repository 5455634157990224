//! The gRPC protocols of Wisp, `wisp.v1` and the Open Inference Protocol: messages, clients, servers, and the descriptors that
//! reflection serves.
//!
//! The source of truth is `proto/wisp/v1/*.proto` and `proto/inference/*.proto`; what stands here is generated from them at build
//! time.

#![forbid(unsafe_code)]

/// Package `wisp.v1`.
#[allow(missing_docs, unreachable_pub, reason = "generated code")]
#[allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("wisp.v1");
}

/// Package `inference`: the Open Inference Protocol, version 2.
#[allow(missing_docs, unreachable_pub, reason = "generated code")]
#[allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod inference {
    tonic::include_proto!("inference");
}

/// The compiled descriptors of every package, as gRPC reflection serves them.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
