//! `wisp embed`, `models`, `devices` and `config` from the shell.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support;

const TEST: &str = "wisp embed";

fn wisp(arguments: &[&str]) -> Command {
    let mut command = support::wisp();
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    wisp(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn can_embed() -> bool {
    wisp_testing::RealModel::get(TEST).is_some() && wisp_testing::guest(TEST, "embedder").is_some()
}

#[test]
fn json_holds_a_vector_for_each_text_in_order() {
    if !can_embed() {
        return;
    }
    for backend in ["openvino", "ort", "candle"] {
        let output = run(&["embed", "--format", "json", "--backend", backend, "a storm at sea", "an invoice"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json["backend"], backend);
        assert_eq!(json["embeddings"][0]["text"], "a storm at sea");
        assert_eq!(json["embeddings"][1]["values"].as_array().map(Vec::len), Some(384));
    }
}

/// A thread may still be closing a session when everything is done, and must not find its library taken apart.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_process_ends_without_the_exit_handlers_of_native_libraries() {
    if !can_embed() {
        return;
    }
    for (backend, library) in [("openvino", "/libopenvino.so"), ("ort", "/libonnxruntime.so")] {
        let mut command = wisp(&["embed", "--format", "json", "--backend", backend, "a storm at sea"]);
        // The loader tells which libraries it begins and ends.
        let output = command.env("LD_DEBUG", "files").output().expect("the binary starts");
        assert!(output.status.success());
        assert!(output.stdout.ends_with(b"\n"), "all of the answer arrives");
        let told = text(&output.stderr);
        let lines = |what: &str| told.lines().filter(|line| line.contains(what) && line.contains(library)).count();
        // A library that is only looked at is closed again before it is opened for use.
        assert_eq!(lines("calling init"), lines("calling fini") + 1, "{library} was in use to the end");
    }
}

#[test]
fn the_table_names_the_nearest_neighbour() {
    if !can_embed() {
        return;
    }
    let output = run(&["embed", "How do I reset my password?", "I forgot my login", "The harbour is stormy"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let first = table.lines().find(|line| line.contains("┆") && line.contains("reset my password")).expect("a row");
    assert!(first.matches("I forgot my login").count() == 1, "{table}");
    assert!(table.contains("384 dimensions, all-minilm-l6-v2 on openvino:cpu, "), "{table}");
}

#[test]
fn lines_of_standard_input_become_an_npy_matrix() {
    if !can_embed() {
        return;
    }
    let mut child = wisp(&["embed", "--format", "npy", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("is piped").write_all(b"one\ntwo\n\nthree").expect("written");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"\x93NUMPY"));
    let header_bytes = 10 + u16::from_le_bytes([output.stdout[8], output.stdout[9]]) as usize;
    assert_eq!(output.stdout.len(), header_bytes + 3 * 384 * 4);
}

#[test]
fn a_file_that_is_not_utf8_is_refused_by_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("latin1.txt");
    std::fs::write(&file, b"good\ncaf\xE9\n").expect("written");
    let output = run(&["embed", "--file", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("latin1.txt: line 2 is not valid UTF-8"), "{}", text(&output.stderr));
}

#[test]
fn failure_is_1_and_wrong_usage_is_2() {
    assert_eq!(run(&["embed"]).status.code(), Some(2));
    assert_eq!(text(&run(&["--version"]).stdout), concat!("wisp ", env!("CARGO_PKG_VERSION"), "\n"));
    let lenient = wisp(&["embed"]).env("WISP_NO_NORMALIZE", "1").output().expect("runs");
    assert!(text(&lenient.stderr).contains("no texts"), "{}", text(&lenient.stderr));
    assert_eq!(run(&["embed", "--format", "xml", "a"]).status.code(), Some(2));
    assert_eq!(run(&["embed", "--backend", "tpu", "a"]).status.code(), Some(2));
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(run(&["models", "inspect", "no-such-model"]).status.code(), Some(1));
    assert_eq!(run(&["config", "check", "/nonexistent/wisp.toml"]).status.code(), Some(1));
}

#[test]
fn devices_lists_every_backend() {
    let output = run(&["--offline", "devices", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let backends: Vec<_> = json.as_array().expect("a list").iter().map(|report| report["backend"].clone()).collect();
    assert_eq!(backends, ["openvino", "ort", "candle"]);
}

#[test]
fn a_printed_configuration_can_be_checked() {
    let printed = run(&["config", "print"]);
    assert!(printed.status.success());
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("wisp.toml");
    std::fs::write(&file, &printed.stdout).expect("written");
    let checked = run(&["config", "check", &file.display().to_string()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    std::fs::write(&file, "[deployments.x]\nguest = 5\n").expect("written");
    let refused = run(&["config", "check", &file.display().to_string()]);
    assert!(text(&refused.stderr).contains("wisp.toml:2:9: invalid type: integer `5`"), "{}", text(&refused.stderr));
}
