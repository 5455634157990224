//! Candle with files that are broken, or are not of the model that the manifest promises.

#[path = "candle/fixture.rs"]
#[allow(dead_code, reason = "shared with `candle.rs`, which uses all of it")]
mod fixture;

use fixture::Fixture;
use serde_json::Value;
use wisp_core::{Axis, BackendError, DataType, Device, Precision, TensorSpec};

const QUERY: &str = "encoder.layer.1.attention.self.query.weight";

/// A safetensors file: its header, and the bytes that follow.
struct Safetensors {
    header: Value,
    data: Vec<u8>,
}

impl Safetensors {
    fn read(fixture: &Fixture) -> Self {
        let bytes = std::fs::read(&fixture.file).expect("a committed fixture");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let end = 8 + usize::try_from(length).expect("is small");
        Self { header: serde_json::from_slice(&bytes[8..end]).expect("a header"), data: bytes[end..].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = self.header.to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &self.data].concat()
    }
}

/// Loads `fixture` with `bytes` as its weights.
fn load_bytes(fixture: &Fixture, bytes: &[u8]) -> Result<Box<dyn wisp_core::Session>, BackendError> {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    fixture.load_with(|request| request.file = file.path())
}

/// Why `bytes` do not load, checked to name the model and a file.
fn refusal(result: Result<Box<dyn wisp_core::Session>, BackendError>, what: &str) -> String {
    match result {
        Err(error @ BackendError::Model { .. }) => error.to_string(),
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: loaded"),
    }
}

#[test]
fn truncated_and_garbled_weights_are_refused() {
    let fixture = Fixture::read("bert");
    let whole = Safetensors::read(&fixture).bytes();
    let cuts = [0, 1, 8, 9, 100, whole.len() / 2, whole.len() - 1];
    for bytes in cuts.map(|end| &whole[..end]).into_iter().chain([&[0xff; 4096][..], &[0; 64]]) {
        let error = refusal(load_bytes(&fixture, bytes), &format!("{} bytes", bytes.len()));
        assert!(error.contains("cannot be read as safetensors"), "{error}");
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_named_with_its_file() {
    let fixture = Fixture::read("bert");
    for (what, change, message) in [
        ("shape", "/shape", serde_json::json!([16, 64])),
        ("rank", "/shape", serde_json::json!([1024])),
        ("type", "/dtype", serde_json::json!("I32")),
    ]
    .map(|(what, pointer, value)| {
        let message = match what {
            "type" => format!("tensor `{QUERY}` holds I32; this backend reads f32, f16, bf16, f64"),
            _ => format!(
                "tensor `{QUERY}` has shape {}; config.json asks for [32, 32]",
                value.to_string().replace(',', ", ")
            ),
        };
        (what, (pointer, value), message)
    }) {
        let mut file = Safetensors::read(&fixture);
        *file.header[QUERY].pointer_mut(change.0).expect("is there") = change.1;
        let error = refusal(load_bytes(&fixture, &file.bytes()), what);
        assert!(error.starts_with("model `bert`: /") && error.contains(&message), "{error}");
    }
    let mut file = Safetensors::read(&fixture);
    let tensor = file.header[QUERY].take();
    file.header.as_object_mut().expect("an object").remove(QUERY);
    file.header["another"] = tensor;
    let error = refusal(load_bytes(&fixture, &file.bytes()), "missing");
    assert!(error.contains(&format!("tensor `{QUERY}` is missing")), "{error}");
}

#[test]
fn weights_that_are_no_numbers_neither_crash_nor_hide() {
    let fixture = Fixture::read("roberta-classifier");
    let mut file = Safetensors::read(&fixture);
    file.data.chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&f32::NAN.to_le_bytes()));
    for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
        let path = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(path.path(), file.bytes()).expect("written");
        let loaded = fixture.load_with(|request| (request.file, request.precision) = (path.path(), precision));
        let outputs = loaded.expect("loads").run(&fixture.batches["right"].padded()).expect("runs");
        for name in fixture.row_outputs() {
            let values = fixture::output(&outputs, name).view::<f32>().expect("f32");
            assert!(values.iter().all(|value| value.is_nan()), "{name} in {precision}");
        }
    }
}

#[test]
fn a_config_that_is_of_another_model_is_refused() {
    for (name, from, to, message) in [
        ("bert", "\"model_type\": \"bert\"", "\"model_type\": \"mpnet\"", "model_type `mpnet` is not supported"),
        ("bert", "\"hidden_size\"", "\"width\"", "missing field `hidden_size`"),
        (
            "bert",
            "\"num_attention_heads\": 4",
            "\"num_attention_heads\": 5",
            "32 is not a multiple of the 5 attention heads",
        ),
        (
            "bert",
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "tensor `encoder.layer.2.attention.self.query.weight` is missing",
        ),
        (
            "bert",
            "\"vocab_size\": 64",
            "\"vocab_size\": 65",
            "`embeddings.word_embeddings.weight` has shape [64, 32]; config.json asks for [65, 32]",
        ),
        ("bert", "\"model_type\": \"bert\"", "\"model_type\": \"distilbert\"", "missing field `dim`"),
        ("distilbert", "\"dim\": 32", "\"dim\": 30", "30 is not a multiple of the 4 attention heads"),
        ("distilbert", "\"activation\": \"relu\"", "\"activation\": \"mish\"", "activation `mish` is not supported"),
        (
            "roberta-classifier",
            "\"model_type\": \"roberta\"",
            "\"model_type\": \"bert\"",
            "tensor `classifier.weight` is missing",
        ),
    ] {
        let fixture = Fixture::read(name);
        let text = std::fs::read_to_string(&fixture.architecture).expect("a committed fixture");
        assert!(text.contains(from), "{name} has no {from}");
        let config = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(config.path(), text.replace(from, to)).expect("written");
        let error = refusal(fixture.load_with(|request| request.architecture = Some(config.path())), message);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_signature_that_the_model_does_not_have_is_refused() {
    let spec = |name: &str, data_type, shape: &[Axis]| TensorSpec {
        name: name.to_owned(),
        data_type,
        shape: shape.to_vec(),
        below: None,
    };
    let free = Axis::Free;
    for (name, output, message) in [
        ("bert", spec("logits", DataType::F32, &[free, free]), "tensor `classifier.weight` is missing"),
        ("bert-classifier", spec("logits", DataType::F32, &[free, Axis::Fixed(2)]), "is f32 [-1, 3], not f32 [-1, 2]"),
        ("bert-classifier", spec("logits", DataType::F32, &[free, free, free]), "is f32 [-1, 3], not f32 [-1, -1, -1]"),
        (
            "bert",
            spec("pooler_output", DataType::F32, &[free, free]),
            "`pooler_output` does not exist, there are `last_hidden_state`",
        ),
        (
            "bert",
            spec("last_hidden_state", DataType::F16, &[free, free, free]),
            "is f32 [-1, -1, 32], not f16 [-1, -1, -1]",
        ),
    ] {
        let fixture = Fixture::read(name);
        let mut signature = fixture.signature.clone();
        signature.outputs = vec![output];
        let error = refusal(fixture.load_with(|request| request.signature = &signature), message);
        assert!(error.contains(message), "{error}");
    }
    let fixture = Fixture::read("distilbert");
    let mut signature = fixture.signature.clone();
    signature.inputs.push(spec("token_type_ids", DataType::I64, &[free, free]));
    let error = refusal(fixture.load_with(|request| request.signature = &signature), "token types");
    assert!(
        error.contains("input `token_type_ids` does not exist, there are `input_ids`, `attention_mask`"),
        "{error}"
    );
}

#[test]
fn a_gpu_is_used_or_refused_and_never_replaced() {
    let fixture = Fixture::read("bert");
    match fixture.load_with(|request| request.device = Device::Gpu(0)) {
        Ok(session) => assert_eq!(session.info().placement.device, Device::Gpu(0)),
        Err(BackendError::Device { device, reason, .. }) => {
            assert_eq!(device, Device::Gpu(0));
            assert!(reason.contains("CUDA") || reason.contains("driver"), "{reason}");
        }
        Err(other) => panic!("{other}"),
    }
}
