//! `wisp bench` in short real runs: real server, real guest, real model.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tonic::{Request, Response, Status};
use wisp_proto::v1::inference_service_server::{InferenceService, InferenceServiceServer};
use wisp_proto::v1::{self, EmbedRequest, EmbedResponse, Embedding};

use crate::support::{Server, wisp};

/// Runs `wisp bench` with these arguments and short times; a skip when model or guest cannot be had.
fn bench(test: &str, arguments: &[&str]) -> Option<Output> {
    wisp_testing::RealModel::get(test)?;
    wisp_testing::guest(test, "embedder")?;
    let short = ["bench", "--pool", "8", "--duration", "600ms", "--warmup", "100ms"];
    Some(wisp().args(short).args(arguments).output().expect("the binary starts"))
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn output_of(path: &str) -> Vec<u8> {
    std::fs::read(path).expect("was written")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn a_sweep_checks_every_answer_and_tells_what_it_found() {
    let test = "a_sweep_checks_every_answer_and_tells_what_it_found";
    let arguments = ["--mix", "short,30", "--clients", "1,3", "--format", "json"];
    let Some(output) = bench(test, &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["schema"], "wisp-bench/1");
    let runs = report["runs"].as_array().expect("runs");
    let names: Vec<_> = runs.iter().map(|run| run["name"].as_str().expect("a name")).collect();
    assert_eq!(
        names,
        [
            "server embedder short 1 client",
            "server embedder short 3 clients",
            "server embedder 30 1 client",
            "server embedder 30 3 clients",
        ]
    );
    for run in runs {
        let stream = &run["streams"][0];
        assert!(stream["requests"].as_u64().expect("a number") > 0, "{run}");
        assert_eq!(stream["wrong"], 0, "{run}");
        assert!(stream["checked"].as_u64() >= stream["requests"].as_u64(), "{run}");
        assert!(stream["latency"]["p50_us"].as_f64() <= stream["latency"]["max_us"].as_f64(), "{run}");
        assert!(stream["stages"]["infer_us"].as_f64().expect("a number") > 0.0, "{run}");
        assert!(run["usage"]["peak_rss_bytes"].as_u64().expect("a number") > 10 << 20, "{run}");
    }
    let tokens_per_text = |run: &Value| {
        let stream = &run["streams"][0];
        stream["tokens_per_s"].as_f64().expect("a number") / stream["texts_per_s"].as_f64().expect("a number")
    };
    assert!((tokens_per_text(&runs[0]) - 16.0).abs() < 1e-6, "a short text has 16 tokens");
}

#[test]
fn streams_run_side_by_side_and_are_told_apart() {
    let test = "streams_run_side_by_side_and_are_told_apart";
    let bulk = "name=bulk,clients=2,mix=40,texts=4,priority=bulk";
    let arguments = ["--stream", bulk, "--stream", "name=live,rate=20,arrivals=constant", "--format", "json"];
    let Some(output) = bench(test, &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    let streams = report["runs"][0]["streams"].as_array().expect("streams").clone();
    let names: Vec<_> = streams.iter().map(|stream| stream["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["bulk", "live"]);
    assert_eq!(streams[0]["request_texts"], 4);
    assert!(streams[1]["send_lag"].is_object(), "an open loop tells how late it was");
}

#[test]
fn without_guest_and_without_protocol_are_targets_of_the_same_report() {
    let test = "without_guest_and_without_protocol_are_targets_of_the_same_report";
    let arguments = ["--target", "engine,backend", "--mix", "short", "--clients", "1", "--format", "json"];
    let Some(output) = bench(test, &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    let targets: Vec<_> = report["runs"].as_array().expect("runs").iter().map(|run| run["target"].clone()).collect();
    assert_eq!(targets, ["engine", "backend"]);
    for run in report["runs"].as_array().expect("runs") {
        assert!(run["streams"][0]["checked"].as_u64().expect("a number") > 0, "{run}");
    }
}

#[test]
fn what_cannot_be_measured_is_said_with_the_remedy() {
    for (arguments, code, message) in [
        (&["bench", "--clients", "0"][..], 2, "give 1 to 10000"),
        (&["bench", "--duration", "10"], 2, "write 500ms, 10s or 2m"),
        (&["bench", "--mix", "huge"], 2, "one of short, mixed, long"),
        (&["bench", "--slo", "p99=5"], 2, "write 500ms, 10s or 2m"),
        (&["bench", "--shapes", "0x4"], 2, "write rows and tokens as 32x16"),
        (&["bench", "--output", "report.pdf"], 2, "one of .json, .html"),
        (&["bench", "compare", "/nowhere/a.json", "/nowhere/b.json"], 1, "/nowhere/a.json"),
        (&["bench", "--texts", "/nowhere/texts.txt"], 1, "/nowhere/texts.txt"),
        (&["bench", "--deployments", "nowhere"], 1, "--deployments nowhere=FILE.wasm"),
        (&["bench", "--no-check", "--target", "grpc://127.0.0.1:1"], 1, "cannot connect to http://127.0.0.1:1"),
    ] {
        let output = wisp().args(arguments).output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(message), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn texts_are_written_for_others_to_measure_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("texts.txt");
    let path = file.to_str().expect("UTF-8");
    let output = wisp().args(["bench", "--mix", "short", "--pool", "5", "--write-texts", path]).output();
    assert!(output.expect("runs").status.success());
    let text = std::fs::read_to_string(&file).expect("written");
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().all(|line| line.split(' ').count() == 14));
}

#[test]
fn an_objective_is_searched_and_found() {
    let test = "an_objective_is_searched_and_found";
    let Some(output) = bench(test, &["--mix", "short", "--slo", "p50=10s", "--format", "json"]) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    let search = &report["searches"][0];
    assert!(search["best_per_s"].as_f64().expect("ten seconds hold at some rate") > 0.0, "{search}");
    assert!(search["tried"].as_array().expect("tries").iter().any(|tried| tried["holds"] == true), "{search}");
}

#[test]
fn shapes_are_measured_on_every_placement_that_there_is() {
    let test = "shapes_are_measured_on_every_placement_that_there_is";
    let arguments = ["--backends", "ort,candle", "--precisions", "f32,int8", "--shapes", "1x8", "--format", "json"];
    let Some(output) = bench(test, &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    let names = |list: &str| -> Vec<String> {
        let list = report[list].as_array().expect("a list");
        list.iter().map(|figures| figures["variant"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("shapes"), ["ort:cpu f32", "ort:cpu int8", "candle:cpu f32"]);
    assert_eq!(names("skipped"), ["candle:cpu int8"]);
}

#[test]
fn starts_are_measured_whole_and_in_parts() {
    let test = "starts_are_measured_whole_and_in_parts";
    let Some(output) = bench(test, &["--backend", "ort", "--precision", "f32", "--cold", "--format", "json"]) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&output);
    let cold = &report["cold"][0];
    assert!(cold["cold_ms"].as_f64() > cold["warm_ms"].as_f64(), "proofs cost something: {cold}");
    for part in ["compile_ms", "aot_ms", "instance_us", "engine_ms", "first_embed_ms"] {
        assert!(cold["parts"][part].as_f64().expect("a number") > 0.0, "{part}: {cold}");
    }
}

#[test]
fn a_report_is_compared_with_itself_and_with_a_slower_one() {
    let test = "a_report_is_compared_with_itself_and_with_a_slower_one";
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (before, page) = (path("before.json"), path("report.html"));
    let arguments = ["--mix", "short", "--clients", "1", "--output", &before, "--output", &page];
    let Some(output) = bench(test, &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    assert!(std::fs::read_to_string(&page).expect("written").contains("<svg"));

    let compare = |after: &str| wisp().args(["bench", "compare", &before, after]).output().expect("runs");
    let same = compare(&before);
    assert!(same.status.success(), "{}", said(&same));
    // How steady so short a run is beside other tests nobody knows, so that is written in, and a regression of a tenth with it.
    let after = path("after.json");
    for (file, factor) in [(&before, 1.0), (&after, 0.9)] {
        let mut steady: Value = serde_json::from_slice(&output_of(&before)).expect("JSON");
        let run = &mut steady["runs"][0];
        run["others_cpu_share"] = 0.0.into();
        let stream = &mut run["streams"][0];
        stream["stability"] = serde_json::json!({
            "is_stable": true, "throughput_deviation": 0.01, "p50_deviation": 0.01
        });
        let window = |number: u32| {
            let speed = factor * (1.0 + f64::from(number % 4) * 0.01);
            serde_json::json!({ "requests_per_s": 100.0 * speed, "p50_us": 9e3 / speed, "p99_us": 12e3 / speed })
        };
        stream["windows"] = (0..12).map(window).collect();
        std::fs::write(file, steady.to_string()).expect("written");
    }
    let worse = compare(&after);
    assert_eq!(worse.status.code(), Some(1), "{}", said(&worse));
    assert!(said(&worse).contains("worse than before: server embedder short 1 client"), "{}", said(&worse));

    std::fs::write(&after, "{\"schema\": \"other/9\"}").expect("written");
    let unknown = compare(&after);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("its schema is `other/9`"), "{}", said(&unknown));
}

/// Answers every request with the same vector, or refuses all of them.
struct Fake {
    refuses: bool,
}

#[tonic::async_trait]
impl InferenceService for Fake {
    type ClassifyStreamStream = tokio_stream::Empty<Result<v1::ClassifyStreamResponse, Status>>;

    async fn classify(&self, _: Request<v1::ClassifyRequest>) -> Result<Response<v1::ClassifyResponse>, Status> {
        Err(Status::unimplemented("is not measured"))
    }

    async fn classify_stream(
        &self,
        _: Request<tonic::Streaming<v1::ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStreamStream>, Status> {
        Err(Status::unimplemented("is not measured"))
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        if self.refuses {
            return Err(Status::resource_exhausted("no room"));
        }
        let embedding = Embedding { values: vec![0.05; 384], tokens: 3 };
        let embeddings = vec![embedding; request.into_inner().texts.len()];
        Ok(Response::new(EmbedResponse { embeddings, ..EmbedResponse::default() }))
    }
}

async fn bench_of_a_fake(test: &'static str, fake: Fake) -> Option<Output> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service = InferenceServiceServer::new(fake);
    let server = tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let target = format!("grpc://{address}");
    let run = move || bench(test, &["--mix", "short", "--clients", "1", "--target", &target]);
    let output = tokio::task::spawn_blocking(run).await.expect("no panic");
    server.abort();
    output
}

#[tokio::test]
async fn a_server_with_wrong_vectors_fails_the_run() {
    let output = bench_of_a_fake("a_server_with_wrong_vectors_fails_the_run", Fake { refuses: false }).await;
    let Some(output) = output else { return };
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("answers are wrong"), "{}", said(&output));
}

#[tokio::test]
async fn a_server_that_answers_nothing_fails_the_run() {
    let output = bench_of_a_fake("a_server_that_answers_nothing_fails_the_run", Fake { refuses: true }).await;
    let Some(output) = output else { return };
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("not one request"), "{}", said(&output));
    assert!(said(&output).contains("RESOURCE_EXHAUSTED: no room"), "{}", said(&output));
}

/// Starts a long run against a server and waits until requests are sent.
fn long_run(server: &Server) -> std::process::Child {
    let target = format!("grpc://{}", server.address);
    let mut child = wisp()
        .args(["bench", "--pool", "4", "--mix", "short", "--clients", "2", "--duration", "60s", "--warmup", "0s"])
        .args(["--target", &target, "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut errors = std::io::BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    while !line.contains("2 clients") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut errors, &mut line).expect("writes") > 0, "ended before it measured");
    }
    child.stderr = Some(errors.into_inner());
    // The line stands before the first request; what follows needs one that was answered.
    std::thread::sleep(Duration::from_millis(500));
    child
}

#[test]
fn interrupted_it_prints_what_it_has() {
    let Some(server) = Server::start("interrupted_it_prints_what_it_has", &[]) else { return };
    let child = long_run(&server);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["ended_early"], "interrupted");
    assert!(report["runs"][0]["streams"][0]["requests"].as_u64().expect("a number") > 0, "{report}");
    server.stop_cleanly();
}

#[test]
fn a_server_that_goes_away_in_the_middle_is_said() {
    let Some(server) = Server::start("a_server_that_goes_away_in_the_middle_is_said", &[]) else { return };
    let child = long_run(&server);
    drop(server);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the server is gone in the middle of"), "{}", said(&output));
}
