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

use wisp_engine::Engine;
use wisp_proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;

pub use fuzzing::{decode_body, decode_message};
pub(crate) use rest::routes;

/// The version of every deployment and model: what is configured under a name is the only one there.
const VERSION: &str = "1";

/// The gRPC service over an engine.
pub(crate) fn service(engine: Engine) -> GrpcInferenceServiceServer<grpc::OpenInference> {
    let message_bytes = engine.limits().message_bytes;
    GrpcInferenceServiceServer::new(grpc::OpenInference { engine })
        .max_decoding_message_size(message_bytes)
        // Answers are as large as the limits on requests allow; cutting them off here would lose the work.
        .max_encoding_message_size(usize::MAX)
}
