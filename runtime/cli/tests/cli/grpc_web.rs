//! gRPC-Web, which browsers speak: frames of gRPC in a plain POST, over HTTP/1.1 as well.

use prost::Message;
use ureq::http::Response;
use ureq::{Agent, Body};
use wisp_proto::v1::{EmbedRequest, EmbedResponse};

use crate::support::Server;

/// A message in a frame: no compression, the length, the message.
fn frame(message: &impl Message) -> Vec<u8> {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).expect("a short message").to_be_bytes();
    [&[0][..], &length, &encoded].concat()
}

/// The frames of an answer: flags and content.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().expect("4 bytes")) as usize;
        frames.push((head[0], rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

fn call(address: &str, message: &EmbedRequest) -> Response<Body> {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(format!("http://{address}/wisp.v1.InferenceService/Embed"));
    let request = request.header("content-type", "application/grpc-web+proto").header("x-grpc-web", "1");
    request.send(&frame(message)[..]).expect("answers")
}

#[test]
fn browsers_are_answered_on_both_listeners() {
    let Some(server) = Server::start("browsers_are_answered_on_both_listeners", &[]) else { return };
    for address in [&server.address, &server.http] {
        let message = EmbedRequest { texts: vec!["a cat".to_owned()], ..EmbedRequest::default() };
        let mut response = call(address, &message);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/grpc-web+proto".parse().expect("ASCII"))
        );
        let frames = frames(&response.body_mut().read_to_vec().expect("a body"));
        let answer = EmbedResponse::decode(&frames[0].1[..]).expect("an answer");
        assert_eq!((frames[0].0, answer.embeddings[0].values.len()), (0, 384));
        // Trailers come as a last frame: HTTP/1.1 of browsers has none.
        let trailers = String::from_utf8_lossy(&frames[1].1).replace(' ', "");
        assert!(frames[1].0 == 0x80 && trailers.contains("grpc-status:0"), "{trailers}");
    }
    server.stop_cleanly();
}

#[test]
fn a_refusal_has_its_status_in_the_answer() {
    let Some(server) = Server::start("a_refusal_has_its_status_in_the_answer", &[]) else { return };
    let mut response = call(&server.http, &EmbedRequest::default());
    assert_eq!(response.status().as_u16(), 200, "gRPC has a status of its own");
    let header = response.headers().get("grpc-status").map(|status| status.to_str().expect("digits").to_owned());
    let body = response.body_mut().read_to_vec().expect("a body");
    let frames = frames(&body);
    let trailers = frames.last().map_or(String::new(), |frame| String::from_utf8_lossy(&frame.1).replace(' ', ""));
    assert!(header.as_deref() == Some("3") || trailers.contains("grpc-status:3"), "{header:?} {trailers}");
    server.stop_cleanly();
}
