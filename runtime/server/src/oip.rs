//! The Open Inference Protocol, version 2 (KServe, Triton): tensors to deployments and to models, over gRPC and REST.
//!
//! Both transports read a request into [`call::Ask`], which knows neither of them, and write what [`call::call`] answers. A
//! tensor on its way is a [`tensors::WireTensor`], whatever form it came in.

mod call;
mod contents;
mod datatype;
mod error;
mod fuzzing;
mod grpc;
mod json;
mod metadata;
mod parameters;
mod repository;
mod rest;
mod stream;
mod tensors;
mod written;

use axum::extract::FromRef;
use tokio_util::sync::CancellationToken;
use wisp_engine::Engine;
use wisp_proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;

use crate::Reload;

pub use fuzzing::{decode_body, decode_message};
pub(crate) use rest::routes;
#[cfg(test)]
pub(crate) use rest::table;

/// The version of every deployment and model: what is configured under a name is the only one there.
pub(crate) const VERSION: &str = "1";

/// The protocol over an engine, whichever transport carries it.
#[derive(Clone)]
pub(crate) struct OpenInference {
    pub(crate) engine: Engine,
    /// Puts another configuration into service; `None` where it cannot change.
    pub(crate) reload: Option<Reload>,
    /// Cancelled when the service says that it is not ready, some time before it stops.
    pub(crate) draining: CancellationToken,
}

impl FromRef<OpenInference> for Engine {
    fn from_ref(service: &OpenInference) -> Self {
        service.engine.clone()
    }
}

/// The gRPC service.
pub(crate) fn service(service: OpenInference) -> GrpcInferenceServiceServer<OpenInference> {
    let message_bytes = service.engine.limits().message_bytes;
    GrpcInferenceServiceServer::new(service)
        .max_decoding_message_size(message_bytes)
        // Answers are as large as the limits on requests allow; cutting them off here would lose the work.
        .max_encoding_message_size(usize::MAX)
}
