//! `wisp bench` in short real runs: real server, real guest, real model.

use std::process::Output;

use serde_json::Value;

use crate::support::wisp;

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
