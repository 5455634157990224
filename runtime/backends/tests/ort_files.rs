//! What an ONNX file asks of ONNX Runtime: operators, types and precision, on hand-made files.

use std::path::{Path, PathBuf};

use wisp_backends::Libraries;
use wisp_core::{
    Axis, Backend, BackendError, BackendId, Batch, DataType, ErrorKind, Kinded, LoadRequest, ModelFormat, NamedTensor,
    Precision, Signature, Tensor, TensorSpec,
};
use wisp_model_store::ONNX_RUNTIME;
use wisp_testing::RealModel;

const FLOAT: u8 = 1;
const INT8: u8 = 3;

struct Fixture {
    backends: Vec<Box<dyn Backend>>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn get(test: &str) -> Option<Self> {
        let real = RealModel::get(test)?;
        let libraries = Libraries { onnxruntime: real.store.find_library(&ONNX_RUNTIME), ..Libraries::default() };
        let folder = tempfile::tempdir().expect("temporary folder");
        Some(Self { backends: wisp_backends::all(&libraries), folder })
    }

    fn backend(&self) -> &dyn Backend {
        self.backends.iter().find(|backend| backend.id() == BackendId::Ort).expect("is compiled in").as_ref()
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).expect("written");
        file
    }

    fn load(&self, file: &Path, precision: Precision) -> Result<Box<dyn wisp_core::Session>, BackendError> {
        let spec = |name: &str, width| TensorSpec {
            name: name.to_owned(),
            data_type: DataType::F32,
            shape: vec![Axis::Free, Axis::Fixed(width)],
            below: None,
        };
        let signature = Signature { inputs: vec![spec("x", 2)], outputs: vec![spec("y", 1)] };
        let plain = LoadRequest::plain("hand-made", file, ModelFormat::Onnx, &signature);
        self.backend().load(&LoadRequest { precision, ..plain })
    }
}

/// A protobuf field of bytes: tag, length in one or two bytes, content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).ok().filter(|length| *length < 1 << 14).expect("a short field");
    let varint = [(length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
    [&[number << 3 | 2], &varint[..], content].concat()
}

/// A protobuf field of a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

fn node(operator: &str, domain: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs = inputs.iter().map(|input| field(1, input.as_bytes())).collect::<Vec<_>>().concat();
    let rest = [field(2, output.as_bytes()), field(4, operator.as_bytes()), field(7, domain.as_bytes())].concat();
    field(1, &[inputs, rest].concat())
}

fn initializer(name: &str, data_type: u8, shape: &[u8], data: &[u8]) -> Vec<u8> {
    let dims = shape.iter().map(|&length| number(1, length)).collect::<Vec<_>>().concat();
    field(5, &[dims, number(2, data_type), field(8, name.as_bytes()), field(9, data)].concat())
}

/// An input (11) or output (12) of shape `[n, width]`.
fn value(kind: u8, name: &str, data_type: u8, width: u8) -> Vec<u8> {
    let shape = [field(1, &field(2, b"n")), field(1, &number(1, width))].concat();
    let tensor = [number(1, data_type), field(2, &shape)].concat();
    field(kind, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}

fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let graph = [graph.concat(), field(2, b"g")].concat();
    let opset = |domain: &str, version| field(8, &[field(1, domain.as_bytes()), number(2, version)].concat());
    [number(1, 8), field(7, &graph), opset("", 17), opset("wisp.test", 1)].concat()
}

/// `y = x · w` with `w = [1.5, -2]`, kept as two bytes and a scale.
fn int8_model() -> Vec<u8> {
    model(&[
        node("DequantizeLinear", "", &["w", "s"], "f"),
        node("MatMul", "", &["x", "f"], "y"),
        initializer("w", INT8, &[2, 1], &[3, 0xfc]),
        initializer("s", FLOAT, &[], &0.5_f32.to_le_bytes()),
        value(11, "x", FLOAT, 2),
        value(12, "y", FLOAT, 1),
    ])
}

fn f32_model() -> Vec<u8> {
    let weights = [1.5_f32.to_le_bytes(), (-2_f32).to_le_bytes()].concat();
    model(&[
        node("MatMul", "", &["x", "w"], "y"),
        initializer("w", FLOAT, &[2, 1], &weights),
        value(11, "x", FLOAT, 2),
        value(12, "y", FLOAT, 1),
    ])
}

#[test]
fn an_operator_that_does_not_exist_is_named() {
    let Some(fixture) = Fixture::get("an_operator_that_does_not_exist_is_named") else { return };
    for domain in ["wisp.test", ""] {
        let graph = [node("Frobnicate", domain, &["x"], "y"), value(11, "x", FLOAT, 2), value(12, "y", FLOAT, 1)];
        let file = fixture.file("unknown.onnx", &model(&graph));
        let Err(error) = fixture.load(&file, Precision::F32) else { panic!("loaded an unknown operator") };
        assert!(matches!(&error, BackendError::Model { model, .. } if model == "hand-made"), "{error:?}");
        assert!(error.to_string().contains("Frobnicate"), "{error}");
    }
}

#[test]
fn quantised_weights_run_on_the_cpu() {
    let Some(fixture) = Fixture::get("quantised_weights_run_on_the_cpu") else { return };
    // The f32 numbers are small multiples of a power of two, so exact. In int8 the activations are rounded to 8 bits as well:
    // at most the sum of |w| times the largest |x| over 254, 3.5 · 3 / 254 = 0.042.
    for (name, content, precision, tolerance) in
        [("int8.onnx", int8_model(), Precision::Int8, 0.042), ("f32.onnx", f32_model(), Precision::F32, 0.0)]
    {
        let mut session = fixture.load(&fixture.file(name, &content), precision).expect(name);
        assert_eq!(session.info().precision, precision);
        let x = Tensor::from_slice(&[2, 2], &[1.0_f32, 2.0, 3.0, 0.0]).expect("fits");
        let outputs = session.run(&Batch::Padded(vec![NamedTensor::new("x", x)])).expect("runs");
        let y = outputs[0].tensor.view::<f32>().expect("f32");
        let error = y.iter().zip([-2.5, 4.5]).map(|(y, expected)| (y - expected).abs()).fold(0.0, f32::max);
        assert!(y.len() == 2 && error <= tolerance, "{name}: {y:?}");
    }
}

#[test]
fn a_precision_that_the_file_does_not_have_is_refused() {
    let Some(fixture) = Fixture::get("a_precision_that_the_file_does_not_have_is_refused") else { return };
    let file = fixture.file("f32.onnx", &f32_model());
    for (precision, part) in [
        (Precision::Int8, "whose arithmetic is f32"),
        (Precision::F16, "precision f16 on cpu; use f32 or int8"),
        (Precision::Bf16, "precision bf16 on cpu; use f32 or int8"),
    ] {
        let Err(error) = fixture.load(&file, precision) else { panic!("loaded as {precision}") };
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn the_signature_of_a_file_is_read() {
    let Some(fixture) = Fixture::get("the_signature_of_a_file_is_read") else { return };
    let file = fixture.file("f32.onnx", &f32_model());
    let signature = fixture.backend().inspect(&file, ModelFormat::Onnx).expect("is readable");
    let spec = |name: &str, width| TensorSpec {
        name: name.to_owned(),
        data_type: DataType::F32,
        shape: vec![Axis::Free, Axis::Fixed(width)],
        below: None,
    };
    assert_eq!(signature, Signature { inputs: vec![spec("x", 2)], outputs: vec![spec("y", 1)] });

    let identity = [node("Identity", "", &["x"], "y"), value(11, "x", INT8, 2), value(12, "y", INT8, 2)];
    let file = fixture.file("int8-input.onnx", &model(&identity));
    let error = fixture.backend().inspect(&file, ModelFormat::Onnx).expect_err("has an unsupported type");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("input `x` of element type"), "{error}");

    let garbage = fixture.file("garbage.onnx", &[7; 4096]);
    let error = fixture.backend().inspect(&garbage, ModelFormat::Onnx).expect_err("is no model");
    assert!(matches!(&error, BackendError::Model { model, .. } if model == "garbage"), "{error:?}");
    let error = fixture.backend().inspect(&garbage, ModelFormat::TfLite).expect_err("is another format");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn the_signature_of_the_real_model_is_the_manifests() {
    let Some(real) = RealModel::get("the_signature_of_the_real_model_is_the_manifests") else { return };
    let Some(fixture) = Fixture::get("the_signature_of_the_real_model_is_the_manifests") else { return };
    let file = real.model.manifest.file_of_format(ModelFormat::Onnx).expect("listed");
    let files = real.store.ensure(&real.model, file, &wisp_model_store::NoProgress).expect("files");
    let found = fixture.backend().inspect(&files.file, ModelFormat::Onnx).expect("is readable");
    let expected = &real.model.manifest.signature;
    assert_eq!(found.inputs.len(), expected.inputs.len());
    for spec in &expected.inputs {
        // A file says nothing about the tables that its integers index.
        assert_eq!(found.input(&spec.name), Some(&TensorSpec { below: None, ..spec.clone() }));
    }
    let names: Vec<_> = found.outputs.iter().map(|spec| &spec.name).collect();
    assert!(expected.outputs.iter().all(|spec| names.contains(&&spec.name)), "{names:?}");
}
