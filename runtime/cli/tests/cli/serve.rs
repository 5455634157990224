//! `wisp serve` as clients and operators meet it: real sockets, real guest, real model.

use crate::support::{self, Server};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wisp_proto::v1::EmbedRequest;
use wisp_testing::cosine;

fn request<const N: usize>(texts: [&str; N]) -> EmbedRequest {
    EmbedRequest { texts: texts.map(str::to_owned).to_vec(), ..EmbedRequest::default() }
}

#[tokio::test]
async fn embeds_the_reference_texts_over_grpc() {
    let exact = ["--backend", "ort", "--precision", "f32"];
    let Some(server) = Server::start("embeds_the_reference_texts_over_grpc", &exact) else { return };
    let Some(real) = wisp_testing::RealModel::get("embeds_the_reference_texts_over_grpc") else { return };
    let mut client = server.client().await;
    let message = EmbedRequest { texts: real.golden.texts.clone(), ..EmbedRequest::default() };
    let answer = client.embed(message).await.expect("embeds").into_inner();
    assert_eq!(answer.embeddings.len(), real.golden.texts.len());
    for (index, embedding) in answer.embeddings.iter().enumerate() {
        let cosine = cosine(&embedding.values, real.golden.vector(index));
        assert!(cosine >= 0.99999, "text {index}: cosine {cosine}");
        assert!(embedding.tokens >= 2, "text {index}: [CLS] and [SEP] at least");
    }
    let tokens: u64 = answer.embeddings.iter().map(|embedding| u64::from(embedding.tokens)).sum();
    assert_eq!(answer.usage.expect("usage").tokens, tokens);
    let placement = answer.placement.expect("placement");
    assert_eq!((placement.model.as_str(), placement.device.as_str()), ("all-minilm-l6-v2", "cpu"));
    assert_eq!((placement.backend.as_str(), placement.precision.as_str()), ("ort", "f32"));
    let timing = answer.timing.expect("timing");
    assert!(timing.infer_ns > 0 && timing.guest_ns > 0 && timing.tokenize_ns > 0);
    assert!(timing.total_ns >= timing.infer_ns + timing.tokenize_ns);
    server.stop_cleanly();
}

#[tokio::test]
async fn the_default_answers_within_the_tolerance_of_what_it_says_it_ran() {
    let test = "the_default_answers_within_the_tolerance_of_what_it_says_it_ran";
    let Some(server) = Server::start(test, &[]) else { return };
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let mut client = server.client().await;
    let message = EmbedRequest { texts: real.golden.texts.clone(), ..EmbedRequest::default() };
    let answer = client.embed(message).await.expect("embeds").into_inner();
    let placement = answer.placement.expect("placement");
    assert_eq!(placement.backend, "openvino");
    let precision = placement.precision.parse().expect("a precision");
    let tolerance = real.golden.tolerance(precision).expect("was proven, so there is one");
    for (index, embedding) in answer.embeddings.iter().enumerate() {
        let cosine = cosine(&embedding.values, real.golden.vector(index));
        assert!(cosine >= tolerance.min_cosine, "text {index} in {precision}: cosine {cosine}");
    }
    server.stop_cleanly();
}

#[tokio::test]
async fn every_bad_request_has_its_status_and_the_next_one_works() {
    let Some(server) = Server::start("every_bad_request_has_its_status_and_the_next_one_works", &[]) else { return };
    let mut client = server.client().await;
    let huge = "x".repeat(10 << 20);
    let over_the_message_limit = "x".repeat(17 << 20);
    let unknown = EmbedRequest { deployment: "nobody".to_owned(), ..request(["a"]) };
    let no_such_length = EmbedRequest { dimensions: Some(4096), ..request(["a"]) };
    let uncut = EmbedRequest { truncate: Some(false), ..request([&"harbour ".repeat(300)]) };
    for (what, message, code, text) in [
        ("an empty list", request([]), Code::InvalidArgument, "the request has no texts"),
        ("an empty text", request(["a", ""]), Code::InvalidArgument, "text 1 is empty"),
        ("10 MB of text", request([&huge]), Code::InvalidArgument, "text 0 has 10485760 bytes"),
        (
            "17 MB of message",
            request([&over_the_message_limit]),
            Code::ResourceExhausted,
            "server.limits.message_bytes",
        ),
        ("an unknown deployment", unknown, Code::NotFound, "deployment `nobody` does not exist; there is `embedder`"),
        ("too many dimensions", no_such_length, Code::InvalidArgument, "4096"),
        ("a text that may not be cut", uncut, Code::InvalidArgument, "tokens"),
    ] {
        let status = client.embed(message).await.expect_err(what);
        assert_eq!(status.code(), code, "{what}: {status}");
        assert!(status.message().contains(text), "{what}: {status}");
        client.embed(request(["the next request"])).await.unwrap_or_else(|status| panic!("after {what}: {status}"));
    }
    server.stop_cleanly();
}

#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded() {
    let Some(server) = Server::start("a_deadline_that_passes_is_deadline_exceeded", &[]) else { return };
    let texts = vec!["harbour ".repeat(200); 512];
    let message = EmbedRequest { texts, ..EmbedRequest::default() };
    let status = support::status_of_bare_request(&server.address, "60m", &message).await;
    assert_eq!(status, (Code::DeadlineExceeded as i32).to_string());
    let mut client = server.client().await;
    client.embed(request(["the next request"])).await.expect("embeds");
    server.stop_cleanly();
}

#[tokio::test]
async fn health_and_reflection_tell_what_is_served() {
    let Some(server) = Server::start("health_and_reflection_tell_what_is_served", &[]) else { return };
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "wisp.v1.InferenceService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.expect("answers").into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let services = support::reflected_services(server.channel().await).await;
    assert!(services.contains(&"wisp.v1.InferenceService".to_owned()), "{services:?}");
    assert!(services.contains(&"grpc.health.v1.Health".to_owned()), "{services:?}");
    server.stop_cleanly();
}

#[tokio::test]
async fn sigterm_finishes_what_was_begun_and_exits_with_success() {
    let Some(server) = Server::start("sigterm_finishes_what_was_begun_and_exits_with_success", &[]) else { return };
    let mut client = server.client().await;
    client.embed(request(["warm"])).await.expect("embeds");
    let texts = vec!["harbour ".repeat(100); 64];
    let mut running = client.clone();
    let begun = tokio::spawn(async move { running.embed(EmbedRequest { texts, ..EmbedRequest::default() }).await });
    tokio::task::yield_now().await;
    // Sent later over the same connection: once this one is answered, the first has arrived.
    client.embed(request(["marker"])).await.expect("embeds");
    server.stop_cleanly();
    let answer = begun.await.expect("no panic").expect("was finished").into_inner();
    assert_eq!(answer.embeddings.len(), 64);
}

#[test]
fn an_address_in_use_is_said_with_the_remedy() {
    let Some(server) = Server::start("an_address_in_use_is_said_with_the_remedy", &[]) else { return };
    let output = support::wisp()
        .args(["serve", "--grpc", &server.address, "--http", "off", "--admin", "off"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&format!("cannot listen on {}", server.address)), "{error}");
    server.stop_cleanly();
}
