//! Native libraries that are not what they should be: the process that meets them must live.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support;

/// A shared library whose initialiser does what `code` says, by the C compiler that Rust links with.
fn library(folder: &Path, name: &str, code: &str) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    let text = format!(
        "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void begin(void) {{ {code} }}\n"
    );
    std::fs::write(&source, text).expect("written");
    let library = folder.join(format!("lib{name}.so"));
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.expect("a C compiler").success());
    library
}

#[test]
fn a_library_that_crashes_when_it_is_loaded_is_a_finding_and_the_next_placement_serves() {
    let test = "a_library_that_crashes_when_it_is_loaded_is_a_finding_and_the_next_placement_serves";
    if wisp_testing::RealModel::get(test).is_none() || wisp_testing::guest(test, "embedder").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let crashing = library(folder.path(), "crashing", "abort();");
    for (variable, backend) in [("WISP_OPENVINO_LIBRARY", "openvino"), ("WISP_ONNXRUNTIME_LIBRARY", "ort")] {
        let output = support::wisp().args(["devices", "--format", "json"]).env(variable, &crashing).output();
        let output = output.expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let report = json.as_array().expect("a list").iter().find(|report| report["backend"] == backend);
        let missing = report.expect("a row")["devices"][0]["missing"].as_str().expect("cannot be used").to_owned();
        assert!(missing.contains("a library crashes when it is loaded") && missing.contains('6'), "{missing}");
    }
    let output = support::wisp()
        .args(["embed", "--format", "json", "a text"])
        .env("WISP_OPENVINO_LIBRARY", &crashing)
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["backend"], "ort");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("libcrashing.so"), "{told}");

    let output = support::wisp()
        .args(["embed", "--backend", "openvino", "a text"])
        .env("WISP_OPENVINO_LIBRARY", &crashing)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "what was asked for by name has no substitute");
}

#[test]
fn a_library_of_something_else_is_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let other = library(folder.path(), "other", "");
    for (variable, message) in [
        ("WISP_OPENVINO_LIBRARY", "not the C library of OpenVINO: it does not export ov_get_openvino_version"),
        ("WISP_ONNXRUNTIME_LIBRARY", "not an ONNX Runtime library: it does not export OrtGetApiBase"),
    ] {
        let output = support::wisp().args(["--offline", "devices"]).env(variable, &other).output();
        let table = String::from_utf8(output.expect("the binary starts").stdout).expect("UTF-8");
        assert!(table.contains(message) && table.contains("libother.so"), "{table}");
    }
}
