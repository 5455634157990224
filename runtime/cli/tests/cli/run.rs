//! `wisp run`: programs with their streams and exit codes, embedders, applications, and what it says when it refuses.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{get, wisp};

fn guest(test: &str, name: &str) -> Option<PathBuf> {
    wisp_testing::RealModel::get(test)?;
    Some(wisp_testing::guest(test, name)?.canonicalize().expect("it was built"))
}

fn run(arguments: &[&str], module: &Path, own: &[&str]) -> Output {
    let mut command = wisp();
    command.arg("run").args(arguments).arg(module).args(own);
    command.stdin(Stdio::null()).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_has_its_arguments_its_input_and_its_exit_code() {
    let test = "a_program_has_its_arguments_its_input_and_its_exit_code";
    let Some(module) = guest(test, "embed-nn") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("inside.txt"), b"").expect("writable");
    let mut child = wisp()
        .args(["run", "--env", "MODE=fast", "--dir", &format!("{}::/granted", folder.path().display())])
        .arg(&module)
        .args(["wasi", "--looks-like-a-flag"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("is piped").write_all(b"typed in\n").expect("is read");
    let ended = child.wait_with_output().expect("ends");
    let said = text(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    for line in
        ["argument: --looks-like-a-flag", "variable: MODE=fast", "folder: /granted", "entry: inside.txt", "writing: ok"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("typed in") && !said.contains("variable: PATH"), "{said}");
    let failed = run(&[], &module, &["nonsense"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert!(text(&failed.stderr).contains("embed-nn: usage"), "{}", text(&failed.stderr));
}

#[test]
fn what_is_refused_is_one_clear_line() {
    let test = "what_is_refused_is_one_clear_line";
    let Some(module) = guest(test, "embed-nn") else { return };
    let no_module = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(no_module.path(), b"#!/bin/sh").expect("writable");
    for (arguments, module, own, part) in [
        (
            &["--dir", "/no/such/folder"][..],
            module.as_path(),
            &["types"][..],
            "grants.dirs: /no/such/folder is no folder",
        ),
        (&["--env", "NO_SUCH_VARIABLE_HERE"], &module, &["types"], "`NO_SUCH_VARIABLE_HERE` has no value here"),
        (&["--model", "m=no-such-model"], &module, &["types"], "unknown model `no-such-model`"),
        (&["--fuel", "1000"], &module, &["types"], "used up its 1000 units of fuel"),
        (&["--signed-by", "/no/key.pem"], &module, &["types"], "embed-nn.wasm.sig"),
        (&[], no_module.path(), &[], "it does not start with the magic bytes of WebAssembly"),
        (&[], Path::new("/no/such.wasm"), &[], "/no/such.wasm: No such file"),
        (&[], Path::new("/tmp"), &[], "this is no regular file; give a .wasm file"),
    ] {
        let refused = run(arguments, module, own);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.lines().last().unwrap_or_default().contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn an_embedder_prints_one_vector_a_text() {
    let Some(module) = guest("an_embedder_prints_one_vector_a_text", "embedder-portable") else { return };
    let grant = ["--backend", "candle", "--precision", "f32", "--model", "encoder=all-minilm-l6-v2"];
    let ended = run(&grant, &module, &["one text", "another"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let vectors: Vec<Vec<f32>> =
        text(&ended.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(vectors.iter().map(Vec::len).collect::<Vec<_>>(), [384, 384]);
    let ended = run(&grant, &module, &[]);
    assert!(text(&ended.stderr).contains("embeds texts; give them as arguments"), "{}", text(&ended.stderr));
}

#[test]
fn an_application_is_served_until_it_is_stopped_also_where_address_space_is_short() {
    let test = "an_application_is_served_until_it_is_stopped_also_where_address_space_is_short";
    let Some(module) = guest(test, "http-probe") else { return };
    // 256 instances of 1 GiB do not fit; the instances are made one by one then.
    for limit in ["unlimited", "6000000"] {
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v {limit} && exec \"$0\" \"$@\"")])
            .arg(wisp().get_program())
            .args(["run", "--listen", "127.0.0.1:0"])
            .arg(&module)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("is piped")).read_line(&mut line).expect("announces itself");
        let address =
            line.trim().strip_prefix("listening http=http://").unwrap_or_else(|| panic!("announced `{line}`"));
        assert!(get(address, "/").contains("hello from"), "limit {limit}");
        let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(stopped.success());
        let ended = child.wait_with_output().expect("ends");
        let said = text(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        assert_eq!(said.contains("instances are made one by one"), limit != "unlimited", "{limit}: {said}");
    }
}
