//! The real downloads: from an empty cache to verified files. They run where `WISP_TEST_DOWNLOADS=1` is set.

use std::path::Path;
use std::sync::Mutex;

use wisp_model_store::{Access, FileState, Home, ModelFile, NoProgress, ONNX_RUNTIME, OPENVINO, Progress, Store};

/// Prints every step, and checks that the bytes of a step that ended well add up to what was announced.
#[derive(Default)]
struct Ledger(Mutex<(String, Option<u64>, u64)>);

impl Progress for Ledger {
    fn step(&self, name: &str, total_bytes: Option<u64>) {
        println!("{name}: {total_bytes:?} bytes");
        *self.0.lock().expect("not poisoned") = (name.to_owned(), total_bytes, 0);
    }

    fn advance(&self, bytes: u64) {
        self.0.lock().expect("not poisoned").2 += bytes;
    }

    fn done(&self, summary: &str) {
        println!("{summary}");
        let (name, total_bytes, advanced_bytes) = self.0.lock().expect("not poisoned").clone();
        assert_eq!(advanced_bytes, total_bytes.unwrap_or(0), "{name}");
    }
}

/// Whether downloads are asked for; says so where they are not.
fn downloads(test: &str) -> bool {
    let wanted = std::env::var_os("WISP_TEST_DOWNLOADS").is_some_and(|value| value == "1");
    if !wanted {
        println!("skipped: {test} downloads 166 MB; set WISP_TEST_DOWNLOADS=1 to run it");
    }
    wanted
}

fn store(home: &Path, access: Access) -> Store {
    Store::new(Home::at(home), access)
}

#[test]
fn the_model_comes_out_of_its_sources_in_every_form() {
    if !downloads("the_model_comes_out_of_its_sources_in_every_form") {
        return;
    }
    let home = tempfile::tempdir().expect("temporary folder");
    let online = store(home.path(), Access::Online);
    let model = online.open("all-minilm-l6-v2").expect("built in");
    let file = |path: &str| -> &ModelFile { model.manifest.file(path).expect("listed") };
    let onnx = online.ensure(&model, file("model.onnx"), &Ledger::default()).expect("fetched and derived");
    assert!(onnx.file.is_file() && onnx.tokenizer.is_some_and(|file| file.is_file()));

    let offline = store(home.path(), Access::Offline);
    let weights = offline.ensure(&model, file("model.safetensors"), &NoProgress).expect("fetched with it");
    offline.ensure(&model, file("model-int8.onnx"), &NoProgress).expect("derived from what is there");
    assert!(weights.file.is_file() && weights.architecture.is_some_and(|file| file.is_file()));
    for check in offline.verify(&model, &NoProgress) {
        assert_eq!(check.state, FileState::Verified, "{}", check.path);
    }

    // The derived file is made again from what is there, without the network.
    std::fs::write(&onnx.file, b"not a model").expect("own file");
    let rebuilt = offline.ensure(&model, file("model.onnx"), &NoProgress).expect("derived again");
    assert_eq!(rebuilt.file, onnx.file);
}

#[test]
fn native_libraries_come_out_of_their_wheels() {
    if !downloads("native_libraries_come_out_of_their_wheels") {
        return;
    }
    let home = tempfile::tempdir().expect("temporary folder");
    for library in [&ONNX_RUNTIME, &OPENVINO] {
        let path = store(home.path(), Access::Online).ensure_library(library, &Ledger::default()).expect("fetched");
        assert!(path.is_file());
        let offline = store(home.path(), Access::Offline);
        assert_eq!(offline.find_library(library), Some(path.clone()));
        assert_eq!(offline.ensure_library(library, &NoProgress).expect("there"), path);
    }
}
