//! `wisp.v1.InferenceService`: each call in a file of its own.

pub(crate) mod answer;
pub(crate) mod encoding;
mod request;
pub(crate) mod rerank;
mod stream;
mod tokenize;

use tonic::{Request, Response, Status, Streaming};
use wisp_engine::{EmbedRequest, Engine, Method};
use wisp_proto::v1;
use wisp_proto::v1::inference_service_server::InferenceService;

use crate::caller::Caller;
use crate::classify::{self, ClassifyAnswers};
use crate::refusal::Refusal;
use stream::EmbedAnswers;

/// The service over an engine.
pub(crate) struct Inference {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl InferenceService for Inference {
    type EmbedStreamStream = EmbedAnswers;
    type ClassifyStreamStream = ClassifyAnswers;

    async fn classify(&self, request: Request<v1::ClassifyRequest>) -> Result<Response<v1::ClassifyResponse>, Status> {
        classify::classify(&self.engine, request).await
    }

    async fn classify_stream(
        &self,
        request: Request<Streaming<v1::ClassifyRequest>>,
    ) -> Result<Response<ClassifyAnswers>, Status> {
        classify::classify_stream(&self.engine, request)
    }

    async fn embed(&self, request: Request<v1::EmbedRequest>) -> Result<Response<v1::EmbedResponse>, Status> {
        let caller = Caller::of(&self.engine, &request)?;
        let answered = embed_message(&self.engine, &caller, Method::Embed, request.into_inner()).await;
        answered.map(Response::new).map_err(|error| error.of_call(&self.engine, &caller, "embed"))
    }

    async fn embed_stream(
        &self,
        request: Request<Streaming<v1::EmbedRequest>>,
    ) -> Result<Response<EmbedAnswers>, Status> {
        let caller = Caller::of(&self.engine, &request)?;
        Ok(Response::new(stream::answer(self.engine.clone(), caller, request.into_inner())))
    }

    async fn rerank(&self, request: Request<v1::RerankRequest>) -> Result<Response<v1::RerankResponse>, Status> {
        let caller = Caller::of(&self.engine, &request)?;
        let answered = rerank::rerank(&self.engine, &caller, request.into_inner()).await;
        answered.map(Response::new).map_err(|error| error.of_call(&self.engine, &caller, "rerank"))
    }

    async fn tokenize(&self, request: Request<v1::TokenizeRequest>) -> Result<Response<v1::TokenizeResponse>, Status> {
        let caller = Caller::of(&self.engine, &request)?;
        let answered = tokenize::tokenize(&self.engine, &caller, request.into_inner()).await;
        answered.map(Response::new).map_err(|error| Refusal::from(error).of_call(&self.engine, &caller, "tokenize"))
    }

    async fn decode(&self, request: Request<v1::DecodeRequest>) -> Result<Response<v1::DecodeResponse>, Status> {
        let caller = Caller::of(&self.engine, &request)?;
        let answered = tokenize::decode(&self.engine, &caller, request.into_inner()).await;
        answered.map(Response::new).map_err(|error| Refusal::from(error).of_call(&self.engine, &caller, "decode"))
    }
}

/// A message as the engine would get it from nobody in particular.
pub(crate) fn read(message: v1::EmbedRequest) -> Result<EmbedRequest, Status> {
    encoding::Encoding::of(&message)?;
    request::embed_request(message, &Caller::nobody())
}

/// One message to embed, of a call or of a stream.
async fn embed_message(
    engine: &Engine,
    caller: &Caller,
    method: Method,
    message: v1::EmbedRequest,
) -> Result<v1::EmbedResponse, Refusal> {
    let encoding = encoding::Encoding::of(&message)?;
    let request = EmbedRequest { method, ..request::embed_request(message, caller)? };
    Ok(answer::embed_response(&engine.embed(request).await?, encoding))
}
