//! Clients that others wrote, unmodified: OpenAI's, gRPC's, curl, and a tester that reads the OpenAPI document.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use wisp_proto::v1::EmbedRequest;
use wisp_testing::{GRPC, OPENAI, SCHEMATHESIS, cosine};

use crate::support::Server;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the client can be started")
}

/// What a client that ended well printed.
fn printed(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// The vectors that the service itself gives for these texts.
async fn reference(server: &Server, texts: &[String]) -> Vec<Vec<f32>> {
    let message = EmbedRequest { texts: texts.to_vec(), ..EmbedRequest::default() };
    let answer = server.client().await.embed(message).await.expect("embeds").into_inner();
    answer.embeddings.into_iter().map(|embedding| embedding.values).collect()
}

fn assert_same(vectors: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(vectors.len(), expected.len());
    for (index, (vector, expected)) in vectors.iter().zip(expected).enumerate() {
        assert!(cosine(vector, expected) > 0.9999, "text {index}");
    }
}

fn texts() -> Vec<String> {
    ["A cat sleeps on the sofa.", "Share prices fell.", "日本語 🎌"].map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_embeds_lists_models_and_reads_errors() {
    let test = "openais_client_embeds_lists_models_and_reads_errors";
    let Some(mut python) = OPENAI.python(test) else { return };
    let Some(server) = Server::start(test, &[]) else { return };
    let texts = texts();
    let python = python.arg(script("openai_client.py")).arg(format!("http://{}/v1", server.http)).args(&texts);
    let vectors: Vec<Vec<f32>> = serde_json::from_str(&printed(python)).expect("vectors in JSON");
    assert_same(&vectors, &reference(&server, &texts).await);
    server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcs_client_finds_the_service_by_reflection_and_its_health() {
    let test = "grpcs_client_finds_the_service_by_reflection_and_its_health";
    let Some(mut python) = GRPC.python(test) else { return };
    let Some(server) = Server::start(test, &[]) else { return };
    let texts = texts();
    let python = python.arg(script("grpc_client.py")).arg(&server.address).args(&texts);
    let vectors: Vec<Vec<f32>> = serde_json::from_str(&printed(python)).expect("vectors in JSON");
    assert_same(&vectors, &reference(&server, &texts).await);
    server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_embeds_as_the_documentation_says() {
    let test = "curl_embeds_as_the_documentation_says";
    if Command::new("curl").arg("--version").output().is_err() {
        return wisp_testing::skip(test, "`curl` is not installed; install it with your system's package manager");
    }
    let Some(server) = Server::start(test, &[]) else { return };
    let curl = |path: &str, body: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--header", "content-type: application/json"]);
        printed(curl.args(["--data", body]).arg(format!("http://{}{path}", server.http)))
    };
    let texts = texts();
    let body = serde_json::json!({ "inputs": texts }).to_string();
    let vectors: Vec<Vec<f32>> = serde_json::from_str(&curl("/embed", &body)).expect("vectors in JSON");
    assert_same(&vectors, &reference(&server, &texts).await);
    server.stop_cleanly();
}

/// What the document allows must be answered: no more than is computed in time, and no text that has more tokens than the model
/// takes, which no document can say.
const DOCUMENTED: &str = r#"
    [server.limits]
    texts = 16
    text_bytes = 250
    [models.all-minilm-l6-v2]
    [deployments.embedder]
    guest = "builtin:embedder"
    models = { encoder = "all-minilm-l6-v2" }
    [deployments.topics]
    guest = "builtin:zero-shot"
    models = { encoder = "all-minilm-l6-v2" }
    limits = { wall_ms = 60000 }
    [deployments.topics.grants]
    env = ["LABELS=weather; money"]
"#;

/// What is too large is refused by the status for it. A picture is a JPEG or a PNG, labels differ, and a tensor is as a model wants
/// it: no schema says so; nor does one say that a guest reads texts alone, which is 501.
const SCHEMATHESIS_RULES: &str = r#"
    [checks.negative_data_rejection]
    expected-statuses = [400, 401, 404, 405, 413, 415, 422]

    [[operations]]
    include-path = "/v1/classify"
    checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 413, 501]
    checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501]

    [[operations]]
    include-path-regex = "^/v2/.*"
    checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 413, 501]
    checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 501]
    checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501]
"#;

#[test]
fn the_service_answers_as_its_openapi_document_says() {
    let test = "the_service_answers_as_its_openapi_document_says";
    let Some(mut python) = SCHEMATHESIS.python(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, DOCUMENTED).expect("written");
    std::fs::write(folder.path().join("schemathesis.toml"), SCHEMATHESIS_RULES).expect("written");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    // A seed and a number, so that the same requests are sent each time.
    let run = ["-m", "schemathesis.cli", "run", "--checks", "all", "--seed", "1", "--max-examples", "30"];
    let quiet = ["--no-shrink", "--suppress-health-check", "all"];
    let url = format!("http://{}/openapi.json", server.http);
    let output = printed(python.current_dir(folder.path()).args(run).args(quiet).arg(url));
    // It says how many operations it selected and tested; its exit code, that none of them failed.
    let counted = |what: &str| output.lines().find_map(|line| line.trim().strip_prefix(what).map(str::trim));
    let (selected, tested) = (counted("Selected:"), counted("Tested:"));
    let all = selected.and_then(|selected| selected.split_once('/')).map(|(_, all)| all);
    assert!(all.is_some() && all == tested && output.contains("✅ Fuzzing"), "{output}");
    server.stop_cleanly();
}
