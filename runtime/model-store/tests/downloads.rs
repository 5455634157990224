//! The real downloads: from an empty cache to verified files. They run where `WISP_TEST_DOWNLOADS=1` is set.

use std::path::Path;
use std::sync::Mutex;

use wisp_core::ModelFormat;
use wisp_model_store::{Access, FileState, Home, NoProgress, ONNX_RUNTIME, Progress, Store};

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
        println!("skipped: {test} downloads 107 MB; set WISP_TEST_DOWNLOADS=1 to run it");
    }
    wanted
}

fn store(home: &Path, access: Access) -> Store {
    Store::new(Home::at(home), access)
}

#[test]
fn the_model_comes_out_of_its_sources_in_both_formats() {
    if !downloads("the_model_comes_out_of_its_sources_in_both_formats") {
        return;
    }
    let home = tempfile::tempdir().expect("temporary folder");
    let online = store(home.path(), Access::Online);
    let model = online.open("all-minilm-l6-v2").expect("built in");
    let onnx = online.ensure(&model, ModelFormat::Onnx, &Ledger::default()).expect("fetched and derived");
    assert!(onnx.file.is_file() && onnx.tokenizer.is_some_and(|file| file.is_file()));

    let offline = store(home.path(), Access::Offline);
    let weights = offline.ensure(&model, ModelFormat::Safetensors, &NoProgress).expect("fetched with the other");
    assert!(weights.file.is_file() && weights.architecture.is_some_and(|file| file.is_file()));
    for check in offline.verify(&model, &NoProgress) {
        assert_eq!(check.state, FileState::Verified, "{}", check.path);
    }

    // The derived file is made again from what is there, without the network.
    std::fs::write(&onnx.file, b"not a model").expect("own file");
    let rebuilt = offline.ensure(&model, ModelFormat::Onnx, &NoProgress).expect("derived again");
    assert_eq!(rebuilt.file, onnx.file);
}

#[test]
fn the_native_library_comes_out_of_its_wheel() {
    if !downloads("the_native_library_comes_out_of_its_wheel") {
        return;
    }
    let home = tempfile::tempdir().expect("temporary folder");
    let library =
        store(home.path(), Access::Online).ensure_library(&ONNX_RUNTIME, &Ledger::default()).expect("fetched");
    assert!(library.is_file());
    let offline = store(home.path(), Access::Offline);
    assert_eq!(offline.find_library(&ONNX_RUNTIME), Some(library.clone()));
    assert_eq!(offline.ensure_library(&ONNX_RUNTIME, &NoProgress).expect("there"), library);
}
