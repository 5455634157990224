//! `ModelStreamInfer`: many requests on one stream, computed side by side and answered in their order.

use tokio::time::Instant;
use tonic::Streaming;
use wisp_engine::{Engine, Method};
use wisp_proto::inference as oip;

use super::VERSION;
use super::call::Who;
use super::grpc::infer;
use crate::in_order::{self, in_order};

/// Requests of one stream that are in the engine or wait for those before them.
const STREAM_REQUESTS: usize = 16;

/// The answers of a stream.
pub(crate) type Answers = in_order::Answers<oip::ModelStreamInferResponse>;

/// The answers to the requests of a stream, which this client sends.
pub(crate) fn answers(engine: Engine, who: Who, requests: Streaming<oip::ModelInferRequest>) -> Answers {
    in_order(STREAM_REQUESTS, requests, move |request| {
        let (engine, who) = (engine.clone(), who.clone());
        async move {
            let who = Who { arrived_at: Instant::now(), method: Method::InferStream, ..who };
            Ok(answer(&engine, request, &who).await)
        }
    })
}

/// The answer to one request. What is wrong with it is its own matter: the stream goes on.
async fn answer(engine: &Engine, request: oip::ModelInferRequest, who: &Who) -> oip::ModelStreamInferResponse {
    let (model_name, id) = (request.model_name.clone(), request.id.clone());
    match infer(engine, request, who).await {
        Ok(answer) => oip::ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) },
        Err(error) => {
            let model_version = VERSION.to_owned();
            let named = oip::ModelInferResponse { model_name, model_version, id, ..Default::default() };
            oip::ModelStreamInferResponse { error_message: error.to_string(), infer_response: Some(named) }
        }
    }
}
