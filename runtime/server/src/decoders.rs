//! What turns the bytes of clients into requests, without a server around it: for the fuzzer.

use prost::Message;
use tonic::Status;
use wisp_engine::EmbedRequest;
use wisp_proto::v1;

use crate::{embed, rest};

/// Paths of the REST interfaces that take a message.
pub const PATHS: [&str; 8] =
    ["/v1/embeddings", "/v1/classify", "/embed", "/rerank", "/similarity", "/predict", "/tokenize", "/decode"];

/// Reads a message as the REST interface of this path does; `None` for other paths.
///
/// # Errors
/// What the client is told.
#[must_use]
pub fn json(path: &str, bytes: &[u8]) -> Option<Result<(), String>> {
    rest::read(path, bytes).map(|read| read.map_err(|refusal| refusal.to_string()))
}

/// Reads a message of `wisp.v1.InferenceService/Embed`.
///
/// # Errors
/// What the client is told.
pub fn embed(bytes: &[u8]) -> Result<EmbedRequest, Status> {
    let message = v1::EmbedRequest::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
    embed::read(message)
}

/// Writes a vector in every encoding, for how long each is.
#[must_use]
pub fn encode(vector: &[f32]) -> Vec<v1::Embedding> {
    embed::encoding::Encoding::ALL.map(|encoding| encoding.embedding(vector, 0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_reads_its_message_and_refuses_another() {
        for (path, right) in PATHS.into_iter().zip([
            r#"{"input": ["a"], "model": "m"}"#,
            r#"{"inputs": ["a", {"text": "b"}], "labels": ["c"]}"#,
            r#"{"inputs": [[1, 2], [3]]}"#,
            r#"{"query": "a", "texts": ["b"]}"#,
            r#"{"inputs": {"source_sentence": "a", "sentences": ["b"]}}"#,
            r#"{"inputs": [["a"], ["b"]]}"#,
            r#"{"inputs": "a"}"#,
            r#"{"ids": [1]}"#,
        ]) {
            assert_eq!(json(path, right.as_bytes()), Some(Ok(())), "{path}");
            assert!(json(path, b"{}").is_some_and(|read| read.is_err()), "{path}");
        }
        assert_eq!(json("/info", b"{}"), None);
    }

    #[test]
    fn messages_of_grpc_are_read_or_are_their_senders_fault() {
        let message = v1::EmbedRequest { texts: vec!["a".to_owned()], ..v1::EmbedRequest::default() };
        assert_eq!(embed(&message.encode_to_vec()).expect("is one").inputs.len(), 1);
        assert_eq!(embed(b"\xff").expect_err("is none").code(), tonic::Code::InvalidArgument);
        let lengths: Vec<_> =
            encode(&[0.5; 9]).iter().map(|encoded| encoded.values.len() + encoded.packed.len()).collect();
        assert_eq!(lengths, [9, 36, 18, 9, 2]);
    }
}
