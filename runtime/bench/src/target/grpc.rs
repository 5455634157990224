//! A server that speaks `wisp.v1`.

use std::error::Error;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use wisp_proto::v1;
use wisp_proto::v1::inference_service_client::InferenceServiceClient;

use crate::BenchError;
use crate::answer::{Answer, Batching, Failure, FailureKind, Lane, PlacementFacts, Question, Stages};

/// Longest time until a server has answered the first connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How a server is spoken to.
#[derive(Clone, Debug)]
pub struct GrpcOptions {
    /// The deployment; `None` for the server's default.
    pub deployment: Option<String>,
    /// HTTP/2 connections; requests go over them in turn.
    pub connections: usize,
    /// Longest time that an answer is waited for.
    pub timeout: Duration,
    /// What `authorization: Bearer` carries.
    pub token: Option<String>,
}

/// Connections to a server.
#[derive(Clone)]
pub struct GrpcTarget {
    clients: Vec<InferenceServiceClient<Channel>>,
    deployment: String,
    timeout: Duration,
    authorization: Option<MetadataValue<Ascii>>,
}

impl GrpcTarget {
    /// Connects to `uri`, such as `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// [`BenchError::Connect`] when nobody listens there; [`BenchError::Token`] for a token that no header can carry.
    pub async fn connect(uri: &str, options: GrpcOptions) -> Result<Self, BenchError> {
        let failed =
            |source: tonic::transport::Error| BenchError::Connect { address: uri.to_owned(), reason: chain(&source) };
        let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(failed)?;
        let endpoint = endpoint.connect_timeout(CONNECT_LIMIT).tcp_nodelay(true);
        let mut clients = Vec::new();
        for _ in 0..options.connections.max(1) {
            let channel = endpoint.connect().await.map_err(failed)?;
            clients.push(InferenceServiceClient::new(channel).max_decoding_message_size(usize::MAX));
        }
        let authorization = options.token.map(|token| format!("Bearer {token}").parse()).transpose();
        Ok(Self {
            clients,
            deployment: options.deployment.unwrap_or_default(),
            timeout: options.timeout,
            authorization: authorization.map_err(|_| BenchError::Token)?,
        })
    }

    pub(super) async fn embed(&self, question: Question) -> Result<Answer, Failure> {
        let message = v1::EmbedRequest {
            deployment: self.deployment.clone(),
            texts: question.texts,
            priority: priority(question.lane).into(),
            ..v1::EmbedRequest::default()
        };
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let mut client = self.clients[question.connection % self.clients.len()].clone();
        match client.embed(request).await {
            Ok(response) => Ok(answer(response.into_inner())),
            Err(status) => Err(failure(&status)),
        }
    }
}

fn priority(lane: Lane) -> v1::Priority {
    match lane {
        Lane::Unnamed => v1::Priority::Unspecified,
        Lane::Interactive => v1::Priority::Interactive,
        Lane::Bulk => v1::Priority::Bulk,
    }
}

fn answer(message: v1::EmbedResponse) -> Answer {
    Answer {
        vectors: message.embeddings.into_iter().map(|embedding| embedding.values).collect(),
        tokens: message.usage.map_or(0, |usage| usage.tokens),
        stages: message.timing.map(|timing| Stages {
            queue: timing.queue_ns,
            tokenize: timing.tokenize_ns,
            guest: timing.guest_ns,
            gather: timing.gather_ns,
            infer: timing.infer_ns,
            total: timing.total_ns,
        }),
        placement: message.placement.map(|placement| PlacementFacts {
            name: format!("{} on {}:{}, {}", placement.model, placement.backend, placement.device, placement.precision),
            precision: placement.precision.parse().ok(),
        }),
        batching: message.batching.map(|batching| Batching {
            inferences: batching.inferences,
            rows: batching.rows,
            tokens: batching.tokens,
            padded_tokens: batching.padded_tokens,
        }),
    }
}

fn failure(status: &Status) -> Failure {
    // A status that the transport made up has its error behind it; one that a server sent has none.
    let is_unreachable = status.source().is_some() && matches!(status.code(), Code::Unavailable | Code::Unknown);
    let kind = match status.code() {
        _ if is_unreachable => FailureKind::Unreachable,
        Code::ResourceExhausted | Code::Unavailable => FailureKind::Refused,
        _ => FailureKind::Failed,
    };
    let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    let code = if is_unreachable { "CONNECTION".to_owned() } else { code_name(status.code()) };
    let message = match status.source() {
        // The status itself says no more than its cause, in more words.
        Some(source) if is_unreachable => chain(source),
        _ => status.message().to_owned(),
    };
    Failure { kind, code, message, retry_after: retry }
}

/// `RESOURCE_EXHAUSTED` for [`Code::ResourceExhausted`], as the protocol writes it.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// An error with its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_the_protocol_writes_them() {
        assert_eq!(code_name(Code::ResourceExhausted), "RESOURCE_EXHAUSTED");
        assert_eq!(code_name(Code::Internal), "INTERNAL");
        assert_eq!(code_name(Code::DeadlineExceeded), "DEADLINE_EXCEEDED");
    }

    #[test]
    fn a_refusal_is_told_from_a_failure_and_from_nobody_there() {
        assert_eq!(failure(&Status::resource_exhausted("full")).kind, FailureKind::Refused);
        assert_eq!(failure(&Status::unavailable("draining")).kind, FailureKind::Refused);
        assert_eq!(failure(&Status::internal("trap")).kind, FailureKind::Failed);
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let gone = failure(&Status::from_error(Box::new(gone)));
        assert_eq!((gone.kind, gone.code.as_str()), (FailureKind::Unreachable, "CONNECTION"));
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_said() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
        let options = GrpcOptions { deployment: None, connections: 1, timeout: CONNECT_LIMIT, token: None };
        let refused = GrpcTarget::connect(&format!("http://{free}"), options).await.err().expect("nobody listens");
        assert!(refused.to_string().contains(&free.to_string()), "{refused}");
    }
}
