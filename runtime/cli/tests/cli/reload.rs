//! Another configuration, put into service while requests run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tonic::Code;
use wisp_proto::v1::classify_input::Input;
use wisp_proto::v1::{CandidateLabel, ClassifyInput, ClassifyRequest, EmbedRequest};
use wisp_testing::cosine;

use crate::support::{Server, get, post, sample, send};

/// Polls for something that another process does.
const PATIENCE: Duration = Duration::from_millis(50);

const ON_CANDLE: &str = "[models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n";
const ON_ORT: &str = "[models.all-minilm-l6-v2]\nplacement = [\"ort:cpu\"]\nprecision = \"f32\"\n";
const EMBEDDER: &str =
    "[deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n";
const SECOND: &str =
    "[deployments.second]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n";

/// A configuration file that changes.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Self { path: folder.path().join("wisp.toml"), _folder: folder };
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("writes");
    }

    fn flags(&self) -> [String; 2] {
        ["--config".to_owned(), path(&self.path)]
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn request(deployment: &str) -> EmbedRequest {
    EmbedRequest {
        deployment: deployment.to_owned(),
        texts: vec!["a request in the middle of a reload".to_owned()],
        ..EmbedRequest::default()
    }
}

fn hang_up(server: &Server) {
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_loses_no_request() {
    let test = "a_reload_under_load_loses_no_request";
    let file = File::new(&[ON_CANDLE, EMBEDDER].concat());
    let flags = file.flags();
    let Some(server) = Server::start_with_admin(test, &[&flags[0], &flags[1]]) else { return };
    let expected = server.client().await.embed(request("embedder")).await.expect("embeds").into_inner();
    let expected = Arc::new(expected.embeddings[0].values.clone());
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let (mut client, expected) = (server.client().await, Arc::clone(&expected));
        let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
        clients.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let answer = client.embed(request("embedder")).await.unwrap_or_else(|status| panic!("{status}"));
                let cosine = cosine(&answer.into_inner().embeddings[0].values, &expected);
                assert!(cosine >= 0.99999, "{cosine}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    // Another backend, and one more deployment.
    file.write(&[ON_ORT, EMBEDDER, SECOND].concat());
    hang_up(&server);
    let mut client = server.client().await;
    while let Err(status) = client.embed(request("second")).await {
        assert_eq!(status.code(), Code::NotFound, "{status}");
        tokio::time::sleep(PATIENCE).await;
    }
    let placement = client.embed(request("embedder")).await.expect("embeds").into_inner().placement;
    assert_eq!(placement.expect("is told").backend, "ort");
    // What is wrong changes nothing, and says why.
    for broken in ["[deployments.embedder]\nguest = 1\n", &ON_ORT.replace("ort:cpu", "ort:gpu:7")] {
        file.write(&[broken, SECOND].concat());
        let answer = post(&server.admin, "/api/reload");
        assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
        client.embed(request("embedder")).await.expect("is still in service");
    }
    let before = answered.load(Ordering::Relaxed);
    file.write(&[ON_ORT, SECOND].concat());
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("every request was answered");
    }
    let answer = post(&server.admin, "/api/reload");
    assert!(answer.contains("removed: embedder"), "{answer}");
    let status = client.embed(request("embedder")).await.expect_err("is gone");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(before > 0 && answered.load(Ordering::Relaxed) >= before);
    let metrics = get(&server.admin, "/metrics");
    assert!(metrics.contains("wisp_device_info{model=\"all-minilm-l6-v2\",backend=\"ort\""), "{metrics}");
    assert!(!metrics.contains("wisp_device_info{model=\"all-minilm-l6-v2\",backend=\"candle\""), "{metrics}");
    server.stop_cleanly();
}

#[tokio::test]
async fn what_a_deployment_keeps_stays_through_a_reload_as_long_as_guest_and_models_do() {
    let test = "what_a_deployment_keeps_stays_through_a_reload_as_long_as_guest_and_models_do";
    const TOPICS: &str =
        "[deployments.topics]\nguest = \"builtin:zero-shot\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n";
    let file = File::new(&[ON_CANDLE, TOPICS].concat());
    let flags = file.flags();
    let Some(server) = Server::start_with_admin(test, &[&flags[0], &flags[1]]) else { return };
    let mut client = server.client().await;
    let label = |name: &str| CandidateLabel { label: name.to_owned(), ..CandidateLabel::default() };
    let request = || ClassifyRequest {
        inputs: vec![ClassifyInput { input: Some(Input::Text("a storm at sea".to_owned())) }],
        labels: ["weather", "money"].map(label).to_vec(),
        ..ClassifyRequest::default()
    };
    let misses = || sample(&get(&server.admin, "/metrics"), "wisp_state_misses_total", &["topics"]) as u32;
    client.classify(request()).await.expect("classifies");
    let first = misses();
    assert!(first > 0, "vectors of labels were looked for");
    file.write(&[ON_CANDLE, TOPICS, SECOND].concat());
    assert!(post(&server.admin, "/api/reload").contains("added: second"));
    client.classify(request()).await.expect("classifies");
    assert_eq!(misses(), first, "they are still there");
    // What another model has computed would be wrong.
    file.write(&[ON_ORT, TOPICS].concat());
    assert!(post(&server.admin, "/api/reload").contains("changed: topics"));
    client.classify(request()).await.expect("classifies");
    assert_eq!(misses(), first, "counted anew, from nothing");
    assert_eq!(sample(&get(&server.admin, "/metrics"), "wisp_state_hits_total", &["topics"]) as u32, 0);
    server.stop_cleanly();
}

#[tokio::test]
async fn a_watched_file_is_reloaded_when_it_changes() {
    let test = "a_watched_file_is_reloaded_when_it_changes";
    let file = File::new(&[ON_CANDLE, EMBEDDER].concat());
    let flags = file.flags();
    let Some(server) = Server::start(test, &[&flags[0], &flags[1], "--watch"]) else { return };
    file.write(&[ON_CANDLE, EMBEDDER, SECOND].concat());
    let mut client = server.client().await;
    while client.embed(request("second")).await.is_err() {
        tokio::time::sleep(PATIENCE).await;
    }
    server.stop_cleanly();
}

#[tokio::test]
async fn only_an_administrator_reloads_where_there_is_one() {
    let test = "only_an_administrator_reloads_where_there_is_one";
    let folder = tempfile::tempdir().expect("a folder");
    let token = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("token-of-{name}")).expect("writes");
        format!("[tenants.{name}]\ntoken_file = \"{}\"\n", path.display())
    };
    let tenants = [token("user"), token("operator"), "scopes = [\"infer\", \"admin\"]\n".to_owned()].concat();
    let file = File::new(&[ON_CANDLE, EMBEDDER, &tenants].concat());
    let flags = file.flags();
    let Some(server) = Server::start_with_admin(test, &[&flags[0], &flags[1]]) else { return };
    let reload = |token: &str| {
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        send(&server.admin, &format!("POST /api/reload HTTP/1.1\r\nContent-Length: 0\r\n{authorization}"))
    };
    for (token, status) in [("", 401), ("nobody's", 401), ("token-of-user", 403), ("token-of-operator", 200)] {
        let answer = reload(token);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "`{token}`: {answer}");
    }
    // The token is another one a moment later.
    std::fs::write(folder.path().join("operator"), "exchanged").expect("writes");
    while !reload("exchanged").starts_with("HTTP/1.1 200 ") {
        tokio::time::sleep(PATIENCE).await;
    }
    assert!(reload("token-of-operator").starts_with("HTTP/1.1 401 "));
    server.stop_cleanly();
}
