//! Refusals at the door: known before the message is read, told with the reason, and harmless to the connection.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;
use wisp_proto::v1::{ClassifyRequest, EmbedRequest, Priority};

use crate::support::{Server, get, sample};

/// One place, and time enough to hold it.
const CONFIG: &str = "[server.limits]\ninflight_requests = 1\n\
    [models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n\
    [deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n\
    limits = { wall_ms = 600000 }\n";

/// Polls for something that another process does.
const PATIENCE: Duration = Duration::from_millis(20);

fn request(texts: Vec<String>) -> EmbedRequest {
    EmbedRequest { texts, priority: Priority::Interactive.into(), ..EmbedRequest::default() }
}

fn assert_refused_with_retry(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("limit of 1 requests in flight"), "{status}");
    assert!(status.get_details_retry_info().is_some_and(|retry| retry.retry_delay.is_some()), "{status}");
}

#[tokio::test]
async fn a_message_that_nobody_has_a_place_for_is_not_read() {
    let test = "a_message_that_nobody_has_a_place_for_is_not_read";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, CONFIG).expect("writes");
    let Some(server) = Server::start_with_admin(test, &["--config", &config.display().to_string()]) else { return };
    let mut holder = server.client().await;
    let held = tokio::spawn(async move { holder.embed(request(vec!["harbour ".repeat(200); 4096])).await });
    let mut client = server.client().await;
    let small = || request(vec!["small".to_owned()]);
    // Nobody else asks meanwhile, so that the place is the holder's.
    while sample(&get(&server.admin, "/metrics"), "wisp_inflight_requests", &[]) < 1.0 {
        tokio::time::sleep(PATIENCE).await;
    }
    assert_refused_with_retry(&client.embed(small()).await.expect_err("there is no place"));
    // Whoever reads this finds a text that is too long, which is INVALID_ARGUMENT.
    let huge = client.embed(request(vec!["x".repeat(10 << 20)])).await.expect_err("there is no place");
    assert_refused_with_retry(&huge);
    assert_refused_with_retry(&client.embed(small()).await.expect_err("there is still no place"));
    let classify = ClassifyRequest { deployment: "embedder".to_owned(), ..ClassifyRequest::default() };
    assert_refused_with_retry(&client.classify(classify).await.expect_err("nor for this"));
    let metrics = get(&server.admin, "/metrics");
    assert!(sample(&metrics, "wisp_rejected_total", &["reason=\"quota\""]) >= 3.0, "{metrics}");
    assert!((sample(&metrics, "wisp_guest_instances", &["deployment=\"embedder\""]) - 1.0).abs() < 1e-9, "{metrics}");

    for (method, least) in [("embed", 3.0), ("classify", 1.0)] {
        let method = format!("method=\"{method}\"");
        let labels = ["deployment=\"\"", &method, "code=\"resource_exhausted\""];
        assert!(sample(&metrics, "wisp_requests_total", &labels) >= least, "{metrics}");
    }

    let refused_at_door = ["wisp_refusal_seconds_count", "wisp_refusal_seconds_bucket{le=\"+Inf\""]
        .map(|name| sample(&metrics, name, &["stage=\"door\""]));
    assert!(refused_at_door[0] >= 3.0 && (refused_at_door[0] - refused_at_door[1]).abs() < 1e-9, "{metrics}");

    held.abort();
    let answer = loop {
        match client.embed(small()).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) => assert_refused_with_retry(&status),
        }
        tokio::time::sleep(PATIENCE).await;
    };
    assert_eq!(answer.embeddings.len(), 1, "the connection that was refused serves on");
    server.stop_cleanly();
}
