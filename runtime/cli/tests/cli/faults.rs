//! Everything that clients can do to each other at one time: whoever waits is answered, with its own vector, in bounded memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request};
use wisp_proto::v1::inference_service_client::InferenceServiceClient;
use wisp_proto::v1::{EmbedRequest, EmbedResponse, Priority};
use wisp_testing::{RealModel, cosine};

use crate::support::{Server, get, sample};

type Client = InferenceServiceClient<Channel>;

/// What "the same vector" means in f32.
const MIN_COSINE: f64 = 0.99999;

/// Texts that a tenant sends in bulk, and in how many requests.
const FLOOD: (usize, usize) = (10_000, 4);

/// Clients that wait for one text after the other, and how many texts each has.
const LIVE: (usize, usize) = (4, 32);

/// More memory than this, beyond what the server had when it was warm, is a leak: all that is sent are 2 MB of text.
const GROWTH_LIMIT_KB: u64 = 400 << 10;

fn request(texts: Vec<String>, priority: Priority) -> Request<EmbedRequest> {
    Request::new(EmbedRequest { texts, priority: priority.into(), ..EmbedRequest::default() })
}

/// Each vector is that of its own text.
fn assert_own_vectors(real: &RealModel, first: usize, answer: &EmbedResponse, what: &str) {
    for (offset, embedding) in answer.embeddings.iter().enumerate() {
        let index = (first + offset) % real.golden.texts.len();
        let cosine = cosine(&embedding.values, real.golden.vector(index));
        assert!(cosine >= MIN_COSINE, "{what}: text {index} has cosine {cosine}");
    }
}

fn texts(real: &RealModel, first: usize, count: usize) -> Vec<String> {
    (first..first + count).map(|index| real.golden.texts[index % real.golden.texts.len()].clone()).collect()
}

/// A tenant sends far more than can be computed; what is answered is right.
async fn flood(mut client: Client, real: Arc<RealModel>) {
    let count = FLOOD.0 / FLOOD.1;
    let mut message = request(texts(&real, 0, count), Priority::Bulk);
    message.metadata_mut().insert("authorization", "Bearer s3cret".parse().expect("a header"));
    let answer = client.embed(message).await.expect("nothing that bulk does is wrong").into_inner();
    assert_eq!(answer.embeddings.len(), count);
    assert_own_vectors(&real, 0, &answer, "bulk");
}

/// Somebody waits for one text after the other, short ones and one of 256 tokens among them.
async fn live(mut client: Client, real: Arc<RealModel>, first: usize) {
    for index in first..first + LIVE.1 {
        let answered = client.embed(request(texts(&real, index, 1), Priority::Interactive)).await;
        let answer = answered.unwrap_or_else(|status| panic!("text {index} is owed an answer: {status}"));
        assert_own_vectors(&real, index, &answer.into_inner(), "live");
    }
}

/// Clients that vanish after a moment, and clients whose time is over at once.
async fn hasty(mut client: Client, real: Arc<RealModel>, first: usize) {
    for index in first..first + LIVE.1 {
        let mut message = request(texts(&real, index, 1), Priority::Interactive);
        if index.is_multiple_of(2) {
            let leaving = Duration::from_millis(index as u64 % 7);
            // Dropped in the middle, wherever that is: HTTP/2 tells the server.
            let _ = tokio::time::timeout(leaving, client.embed(message)).await;
            continue;
        }
        message.set_timeout(Duration::from_millis(1));
        match client.embed(message).await {
            Ok(answer) => assert_own_vectors(&real, index, &answer.into_inner(), "hasty"),
            // CANCELLED is what this client's own timer says.
            Err(status) => assert!(
                matches!(status.code(), Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled),
                "text {index}: {status}"
            ),
        }
    }
}

fn resident_kb(server: &Server, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("is told");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

/// Waits until nothing is left of what was asked.
async fn until_idle(server: &Server) {
    loop {
        let metrics = get(&server.admin, "/metrics");
        let left = ["wisp_inflight_requests", "wisp_guest_instances", "wisp_queued_tokens"]
            .map(|name| sample(&metrics, name, &[]));
        if left.iter().all(|value| value.abs() < 1e-9) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_others_do_whoever_waits_gets_its_own_vector() {
    let test = "whatever_others_do_whoever_waits_gets_its_own_vector";
    let Some(real) = RealModel::get(test).map(Arc::new) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "s3cret").expect("writes");
    let config = folder.path().join("wisp.toml");
    let text = "[models.all-minilm-l6-v2]\nplacement = [\"openvino:cpu\"]\nprecision = \"f32\"\n\
        [deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n\
        limits = { wall_ms = 600000 }\n[tenants.flood]\ntoken_file = \"token\"\n";
    std::fs::write(&config, text).expect("writes");
    let Some(server) = Server::start_with_admin(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = server.client().await;
    let all = client.embed(request(texts(&real, 0, 64), Priority::Interactive)).await.expect("embeds").into_inner();
    assert_own_vectors(&real, 0, &all, "at first");
    let warm_kb = resident_kb(&server, "VmRSS:");

    let mut bulk = JoinSet::new();
    for _ in 0..FLOOD.1 {
        bulk.spawn(flood(server.client().await, Arc::clone(&real)));
    }
    let mut others = JoinSet::new();
    for number in 0..LIVE.0 {
        let first = number * 17;
        others.spawn(live(server.client().await, Arc::clone(&real), first));
        others.spawn(hasty(server.client().await, Arc::clone(&real), first));
    }
    while let Some(done) = others.join_next().await {
        done.expect("everybody got its own vector");
    }
    while let Some(done) = bulk.try_join_next() {
        done.expect("bulk got its own vectors");
    }
    // The flood leaves in the middle of its work.
    bulk.shutdown().await;
    until_idle(&server).await;
    let answer = client.embed(request(texts(&real, 0, 64), Priority::Interactive)).await.expect("embeds").into_inner();
    assert_own_vectors(&real, 0, &answer, "in the end");
    let grown_kb = resident_kb(&server, "VmHWM:").saturating_sub(warm_kb);
    assert!(grown_kb < GROWTH_LIMIT_KB, "{grown_kb} kB more than when it was warm");
    server.stop_cleanly();
}
