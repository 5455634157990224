//! The store over models with several files, imported models, and models with labels and golden tensors.

use std::fs;

use wisp_core::{BackendId, ModelFormat, Precision};

use super::{Bench, manifest};
use crate::{Access, NoProgress, Sha256Digest, StoreError};

#[test]
fn a_graph_comes_with_its_weights_and_other_files_without() {
    let bench = Bench::new();
    let entry = |path: &str, rest: &str| {
        let sha256 = Sha256Digest::of(path.as_bytes());
        format!("[[files]]\npath = '{path}'\nsize_bytes = {}\nsha256 = '{sha256}'\n{rest}", path.len())
    };
    let openvino = |path: &str, weights: &str, precision: &str| {
        let rest = format!("format = 'openvino'\nbackends = ['openvino']\nweights = '{weights}'\n{precision}");
        entry(path, &rest) + &entry(weights, "")
    };
    bench.extend(
        &(openvino("graph.xml", "graph.bin", "") + &openvino("small.xml", "small.bin", "precision = 'int8'\n")),
    );
    for name in ["graph.xml", "graph.bin", "small.xml", "small.bin"] {
        fs::write(bench.path("source").join(name), name).expect("writable");
    }
    let local = bench.ensure_file(Access::Online, "graph.xml", &NoProgress).expect("the source has all");
    assert_eq!((local.format, local.precision), (ModelFormat::OpenVino, None));
    assert_eq!((local.file, local.weights), (bench.cached("graph.xml"), Some(bench.cached("graph.bin"))));
    assert!(!bench.cached("small.bin").exists(), "weights of another graph are not fetched");

    let manifest = bench.open().manifest;
    let of = |precision| {
        let formats = [ModelFormat::Onnx, ModelFormat::OpenVino];
        manifest.file_of(BackendId::OpenVino, &formats, precision).map(|file| file.path.as_str())
    };
    assert_eq!((of(Precision::F32), of(Precision::Bf16)), (Some("graph.xml"), Some("graph.xml")));
    assert_eq!(of(Precision::Int8), Some("small.xml"));
    let local = bench.ensure_file(Access::Online, "small.xml", &NoProgress).expect("the source has all");
    assert_eq!((local.precision, local.weights), (Some(Precision::Int8), Some(bench.cached("small.bin"))));
    let local = bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    assert_eq!((local.format, local.weights), (ModelFormat::Safetensors, None));
}

#[test]
fn imported_models_are_opened_by_name() {
    let bench = Bench::new();
    let store = bench.store(Access::Online);
    let folder = store.home().imported().join("mine");
    fs::create_dir_all(&folder).expect("new folder");
    fs::write(folder.join("model.toml"), manifest().replace("../source", &bench.path("source").to_string_lossy()))
        .expect("writable");
    fs::write(folder.join("model.safetensors"), b"weights").expect("writable");
    assert_eq!(store.imported().expect("readable"), ["mine"]);
    let model = store.open("mine").expect("imported");
    assert_eq!((model.folder(), model.source()), (Some(folder.as_path()), "mine"));
    let file = model.manifest.file("model.safetensors").expect("listed");
    let local = store.ensure(&model, file, &NoProgress).expect("the rest is in the source");
    assert_eq!(local.file, folder.join("model.safetensors"), "used in place");

    let error = store.open("yours").expect_err("not imported").to_string();
    assert!(
        error.starts_with("unknown model `yours`; built in are all-minilm-l6-v2, birds-v1; imported are mine;"),
        "{error}"
    );
    let shadow = store.home().imported().join("all-minilm-l6-v2");
    fs::create_dir_all(&shadow).expect("new folder");
    fs::write(shadow.join("model.toml"), manifest()).expect("writable");
    assert_eq!(store.open("all-minilm-l6-v2").expect("built in").folder(), None, "built-in names come first");
}

#[test]
fn the_model_of_birds_has_labels_and_golden_tensors() {
    let bench = Bench::new();
    let store = bench.store(Access::Offline);
    let model = store.open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/birds-v1")).expect("in the tree");
    let file = model.manifest.file("birds_v1.tflite").expect("listed");
    let local = store.ensure(&model, file, &NoProgress).expect("the folder holds everything");
    assert_eq!((local.format, local.precision), (ModelFormat::TfLite, None));
    let labels = model.labels(local.labels.as_deref()).expect("one a line");
    assert_eq!((labels.len(), labels[166].as_str()), (965, "Aix galericulata"));

    assert_eq!(model.golden().expect("nothing to read"), None, "images are no texts");
    let golden = model.golden_tensors().expect("well formed").expect("it has some");
    assert_eq!(golden.cases(), 1);
    let (inputs, outputs) = golden.case(0).expect("there is one");
    assert!(model.manifest.signature.check_inputs(&inputs).is_ok());
    let scores = outputs[0].tensor.view::<u8>().expect("bytes");
    let best = scores.iter().enumerate().max_by_key(|(_, score)| **score).map(|(index, _)| index);
    assert_eq!(best, Some(166));
    assert!(golden.tolerance(Precision::F32).is_some() && golden.tolerance(Precision::Int8).is_none());
}

#[test]
fn labels_are_those_of_the_manifest_or_the_lines_of_the_file() {
    let bench = Bench::new();
    let store = bench.store(Access::Offline);
    let folder = bench.path("birds");
    fs::create_dir(&folder).expect("new folder");
    let birds = include_str!("../../../../../models/birds-v1/model.toml");
    let labels = folder.join("names");
    let open = |text: &str| {
        fs::write(folder.join("model.toml"), text).expect("writable");
        store.open(&folder.to_string_lossy()).expect("a good manifest")
    };
    let model = open(&birds.replace("965", "2"));
    for (bytes, expected) in [
        (&b"wren\r\nowl\n"[..], Ok(["wren", "owl"])),
        (b"wren\nowl", Ok(["wren", "owl"])),
        (b"wren\nowl\n\n", Err("names has 3 lines for 2 scores; write one a line")),
        (b"", Err("names has 0 lines for 2 scores; write one a line")),
        (b"\xff\n", Err("names is not valid UTF-8")),
    ] {
        fs::write(&labels, bytes).expect("writable");
        match (model.labels(Some(&labels)), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(message)) => {
                assert!(error.to_string().starts_with("labels of model `birds-v1`: "), "{error}");
                assert!(error.to_string().ends_with(message), "{error}");
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
    fs::write(&labels, vec![b'\n'; (16 << 20) + 1]).expect("writable");
    assert!(matches!(model.labels(Some(&labels)), Err(StoreError::TooLarge { .. })));
    let model = open(&birds.replace("labels_file = \"labels.txt\"", "labels = [\"wren\"]"));
    assert_eq!(model.labels(None).expect("in the manifest"), ["wren"]);
}
