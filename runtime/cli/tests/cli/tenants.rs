//! Tenants by token, lanes, and the figures that the admin listener shows of them.

use tonic::{Code, Request};
use tonic_types::StatusExt;
use wisp_proto::v1::{EmbedRequest, Priority};

use crate::support::{Server, get, sample};

fn request(texts: usize, priority: Priority) -> EmbedRequest {
    let texts = vec!["the tide gauge at the harbour mouth reports a rise".to_owned(); texts];
    EmbedRequest { texts, priority: priority.into(), ..EmbedRequest::default() }
}

fn with_token(message: EmbedRequest, token: &str) -> Request<EmbedRequest> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn a_token_tells_the_tenant_and_its_quota_holds() {
    let test = "a_token_tells_the_tenant_and_its_quota_holds";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "s3cret\n").expect("writes");
    let config = folder.path().join("wisp.toml");
    let text = "[tenants.search]\ntoken_file = \"token\"\nshare = 2\ninflight_requests = 1\n";
    std::fs::write(&config, text).expect("writes");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = server.client().await;
    client.embed(request(1, Priority::Unspecified)).await.expect("whoever shows no token is anonymous");
    client.embed(with_token(request(1, Priority::Bulk), "s3cret")).await.expect("the token is right");
    let refused = client.embed(with_token(request(1, Priority::Bulk), "wrong")).await.expect_err("nobody's");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");

    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = client.clone();
        asked.spawn(async move { client.embed(with_token(request(32, Priority::Bulk), "s3cret")).await });
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(answer) = asked.join_next().await {
        match answer.expect("no panic") {
            Ok(_) => answered += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.message().contains("tenant `search`"), "{status}");
                assert!(status.get_details_retry_info().is_some_and(|retry| retry.retry_delay.is_some()), "{status}");
                refused += 1;
            }
        }
    }
    assert!(answered >= 1 && refused >= 1, "{answered} answered, {refused} refused");
    server.stop_cleanly();
}

#[tokio::test]
async fn a_priority_that_does_not_exist_is_refused() {
    let Some(server) = Server::start("a_priority_that_does_not_exist_is_refused", &[]) else { return };
    let message = EmbedRequest { priority: 7, ..request(1, Priority::Unspecified) };
    let status = server.client().await.embed(message).await.expect_err("7 is no priority");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "priority 7 does not exist"));
    server.stop_cleanly();
}

#[tokio::test]
async fn the_admin_listener_shows_figures_and_readiness() {
    let test = "the_admin_listener_shows_figures_and_readiness";
    let Some(server) = Server::start_with_admin(test, &["--backend", "candle", "--precision", "f32"]) else { return };
    let mut client = server.client().await;
    let answer = client.embed(request(4, Priority::Interactive)).await.expect("embeds").into_inner();
    let batching = answer.batching.expect("is told");
    // A slow machine takes four rows in parts.
    assert!(batching.inferences >= 1 && batching.rows == 4, "{batching:?}");
    let inferences = f64::from(batching.inferences);
    client.embed(request(0, Priority::Interactive)).await.expect_err("has no texts");

    for (path, body) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let response = get(&server.admin, path);
        assert!(response.starts_with("HTTP/1.1 200 ") && response.contains(body), "{path}: {response}");
    }
    let metrics = get(&server.admin, "/metrics");
    assert!(metrics.contains("application/openmetrics-text"), "{metrics}");
    let model = "model=\"all-minilm-l6-v2\"";
    for (name, labels, expected) in [
        ("wisp_requests_total", &["deployment=\"embedder\"", "code=\"ok\""][..], 1.0),
        ("wisp_requests_total", &["deployment=\"embedder\"", "code=\"invalid_argument\""], 1.0),
        ("wisp_batch_rows_sum", &[model], 4.0),
        ("wisp_infer_seconds_count", &[model, "backend=\"candle\"", "device=\"cpu\"", "precision=\"f32\""], inferences),
        ("wisp_queue_seconds_count", &[model], inferences),
        ("wisp_batch_padding_ratio_count", &[model], inferences),
        ("wisp_queued_tokens", &[model], 0.0),
        ("wisp_request_seconds_count", &["deployment=\"embedder\""], 1.0),
        ("wisp_guest_seconds_count", &["deployment=\"embedder\""], 1.0),
        ("wisp_models_loaded", &[], 1.0),
        ("wisp_inflight_requests", &[], 0.0),
        ("wisp_guest_instances", &["deployment=\"embedder\""], 0.0),
        ("wisp_rejected_total", &["reason=\"quota\""], 0.0),
        ("wisp_rejected_total", &["reason=\"instances\""], 0.0),
        ("wisp_device_info", &[model, "backend=\"candle\""], 1.0),
        ("wisp_build_info", &["version="], 1.0),
    ] {
        let value = sample(&metrics, name, labels);
        assert!((value - expected).abs() < 1e-9, "{name} {labels:?} is {value}");
    }
    server.stop_cleanly();
}
