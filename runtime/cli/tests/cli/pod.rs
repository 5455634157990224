//! `wisp pod` as the shim starts it: sealed memory for module and configuration, nothing of the environment, no disk.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::fs::{MemfdFlags, SealFlags};
use wisp_proto::v1::EmbedRequest;
use wisp_proto::v1::inference_service_client::InferenceServiceClient;
use wisp_testing::cosine;

use crate::support;

/// Memory that the child inherits: without close-on-exec, under the same number.
fn sealed(content: &[u8]) -> OwnedFd {
    let memory = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memory");
    let mut file = File::from(memory);
    file.write_all(content).expect("writable");
    let seals = SealFlags::SEAL | SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    rustix::fs::fcntl_add_seals(&file, seals).expect("not sealed yet");
    file.into()
}

fn pod(module: &OwnedFd, config: &OwnedFd) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wisp"));
    command.arg("pod");
    command.args(["--module-fd", &module.as_raw_fd().to_string(), "--config-fd", &config.as_raw_fd().to_string()]);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    command
}

/// What a pod says that cannot start, and its exit code.
fn refused(module: &[u8], config: &str) -> (Option<i32>, String) {
    let (module, config) = (sealed(module), sealed(config.as_bytes()));
    told(&pod(&module, &config).output().expect("starts"))
}

fn told(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "a pod that serves nothing says nothing on standard output");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A folder with the whole model, as a volume would hold it.
pub(crate) fn model_volume(real: &wisp_testing::RealModel, folder: &Path, files: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(wisp_testing::MODEL);
    for part in ["", "golden", "calibration"] {
        std::fs::create_dir_all(folder.join(part)).expect("new folder");
        for entry in std::fs::read_dir(source.join(part)).expect("is in the repository") {
            let entry = entry.expect("readable");
            if entry.file_type().expect("known").is_file() {
                std::fs::copy(entry.path(), folder.join(part).join(entry.file_name())).expect("copied");
            }
        }
    }
    for check in real.store.installed(&real.model) {
        if files.contains(&check.path.as_str()) {
            std::os::unix::fs::symlink(&check.location, folder.join(&check.path)).expect("new link");
        }
    }
}

/// The parts of the model that Candle needs.
pub(crate) const CANDLE_FILES: [&str; 4] = ["model.safetensors", "config.json", "tokenizer.json", "vocab.txt"];

/// A pod that serves; killed when dropped, if it still runs.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is how it should be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Reads its log, one object a line, up to the one that says where it listens.
    fn address(&mut self) -> String {
        let mut log = self.0.stderr.take().expect("is piped");
        let mut text = String::new();
        let mut byte = [0];
        while log.read(&mut byte).expect("readable") == 1 {
            text.push(char::from(byte[0]));
            if !text.ends_with('\n') {
                continue;
            }
            let line = text.lines().last().unwrap_or_default();
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {text}"));
            if line["fields"]["message"] == "listening" {
                let address = line["fields"]["grpc"].as_str().expect("an address").to_owned();
                // Goes on being read, so that the pod never waits for us.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return address.replace("0.0.0.0", "127.0.0.1");
            }
        }
        panic!("the pod ended without serving: {text}");
    }
}

#[tokio::test]
async fn a_pod_embeds_with_the_module_and_the_model_that_it_was_given_and_drains() {
    let test = "a_pod_embeds_with_the_module_and_the_model_that_it_was_given_and_drains";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let Some(guest) = wisp_testing::guest(test, "embedder") else { return };
    let files = real.model.manifest.model_files().find(|file| file.path == "model.safetensors").expect("is in it");
    real.store.ensure(&real.model, files, &wisp_model_store::NoProgress).expect("is fetched by set-up");
    let volume = tempfile::tempdir().expect("temporary folder");
    model_volume(&real, volume.path(), &CANDLE_FILES);
    let config = format!(
        "[server]\ngrpc = \"127.0.0.1:0\"\nhttp = \"off\"\nadmin = \"off\"\n[models.minilm]\nsource = \"{}\"\nplacement = [\"candle:cpu\"]\n",
        volume.path().display()
    );
    let (module, config) = (sealed(&std::fs::read(guest).expect("is built")), sealed(config.as_bytes()));
    // None of this is the pod's: with it, it would listen elsewhere, log otherwise, and load another model.
    let mut command = pod(&module, &config);
    command.env("WISP_GRPC", "127.0.0.1:1").env("WISP_LOG", "trace").env("WISP_LOG_FORMAT", "nonsense");
    command.env("WISP_BACKEND", "nonsense").env("WISP_HOME", "/dev/null").env("PATH", "/bin");
    let mut running = Running(command.args(["--", "/"]).stderr(Stdio::piped()).spawn().expect("starts"));
    let address = running.address();
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", running.0.id())).expect("ours").flatten().collect();
    let is_memory = |link: &std::path::PathBuf| link.to_string_lossy().starts_with("/memfd:test");
    let kept = open.iter().filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(is_memory).count();
    assert_eq!(kept, 0, "module and configuration are closed once they are read");

    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = InferenceServiceClient::new(endpoint.connect().await.expect("listens"));
    let texts = real.golden.texts[..4].to_vec();
    let answer = client.embed(EmbedRequest { texts, ..EmbedRequest::default() }).await.expect("embeds").into_inner();
    for (index, embedding) in answer.embeddings.iter().enumerate() {
        let cosine = cosine(&embedding.values, real.golden.vector(index));
        assert!(cosine >= 0.9999, "text {index}: cosine {cosine}");
    }
    let sent = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(running.0.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_pod_without_a_model_says_how_to_grant_one() {
    let (code, said) = refused(b"", "");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no model is granted to this pod"), "{said}");
    assert!(said.contains("/etc/wisp/wisp.toml") && said.contains("wisp.dev/models.NAME.source"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_configuration_that_is_wrong_names_line_and_column() {
    let (code, said) = refused(b"", "[models.m]\nsource = 3\n");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("/etc/wisp/wisp.toml:2:10"), "{said}");
}

#[test]
fn a_model_folder_that_is_not_mounted_is_one_clear_line() {
    let (code, said) = refused(b"", "[models.m]\nsource = \"/models/m\"\n");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("model `m`: model folder /models/m: No such file or directory"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_model_whose_files_are_not_there_names_them_and_fetches_nothing() {
    let test = "a_model_whose_files_are_not_there_names_them_and_fetches_nothing";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let volume = tempfile::tempdir().expect("temporary folder");
    model_volume(&real, volume.path(), &["tokenizer.json", "vocab.txt", "config.json"]);
    let source = volume.path().display();
    let config = format!("[models.m]\nsource = \"{source}\"\nplacement = [\"candle:cpu\"]\n");
    let (code, said) = refused(b"", &config);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("model.safetensors missing") && said.contains(&format!("into {source}")), "{said}");
}

#[test]
fn what_is_no_module_is_refused_after_the_model_was_found() {
    let test = "what_is_no_module_is_refused_after_the_model_was_found";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let volume = tempfile::tempdir().expect("temporary folder");
    model_volume(&real, volume.path(), &CANDLE_FILES);
    let source = volume.path().display();
    let config = format!("[models.m]\nsource = \"{source}\"\nplacement = [\"candle:cpu\"]\n");
    let (code, said) = refused(b"#!/bin/sh\n", &config);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("guest `image` is not a WebAssembly module"), "{said}");
}

#[test]
fn what_is_not_sealed_memory_is_refused() {
    let (module, config) = (sealed(b""), sealed(b""));
    let mut command = pod(&module, &config);
    let output = command.args(["--log", "error"]).output().expect("starts");
    assert_eq!(told(&output).0, Some(2), "an empty configuration");
    let mut unsealed = Command::new(env!("CARGO_BIN_EXE_wisp"));
    let number = config.as_raw_fd().to_string();
    unsealed.args(["pod", "--module-fd", "1", "--config-fd", &number]).env_clear();
    let (code, said) = told(&unsealed.output().expect("starts"));
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("it is one of the standard streams"), "{said}");
}

#[test]
fn code_made_outside_is_compiled_from_standard_input_to_standard_output() {
    let test = "code_made_outside_is_compiled_from_standard_input_to_standard_output";
    let Some(guest) = wisp_testing::guest(test, "embedder") else { return };
    let compile = |input: &Path| {
        let mut command = support::wisp();
        command.args(["compile", "--stdin", "--stdout"]).env_clear().stdin(File::open(input).expect("readable"));
        command.output().expect("starts")
    };
    let compiled = compile(&guest);
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    assert!(compiled.stdout.starts_with(b"\x7fELF"));
    assert!(compiled.stderr.is_empty(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("module");
    for (content, part) in [
        (&compiled.stdout[..], "precompiled machine code, which is never trusted"),
        (b"#!/bin/sh", "magic bytes of WebAssembly"),
        (&vec![0; (64 << 20) + 1], "at most 67108864 are compiled"),
    ] {
        std::fs::write(&file, content).expect("writable");
        let refused = compile(&file);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(refused.stdout.is_empty() && said.contains(part) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_module_is_compiled_into_the_cache_once() {
    let test = "a_module_is_compiled_into_the_cache_once";
    let Some(guest) = wisp_testing::guest(test, "embedder") else { return };
    let home = tempfile::tempdir().expect("temporary folder");
    let compile = || {
        let mut command = support::wisp();
        command.arg("compile").arg(&guest).args(["--format", "json"]).env("WISP_HOME", home.path());
        let output = command.output().expect("starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("an object")
    };
    let (first, second) = (compile(), compile());
    assert_eq!((&first["was_cached"], &second["was_cached"]), (&false.into(), &true.into()));
    let code = Path::new(first["code"].as_str().expect("a path"));
    assert!(code.is_file() && code.starts_with(home.path()), "{}", code.display());
}
