//! ONNX Runtime carries every element type of `wasi:nn` through, bit by bit.

use wisp_backends::Libraries;
use wisp_core::{
    Axis, BackendId, Batch, DataType, LoadRequest, ModelFormat, NamedTensor, Signature, Tensor, TensorSpec,
};
use wisp_model_store::ONNX_RUNTIME;
use wisp_testing::RealModel;

/// The number of each type in `TensorProto.DataType` of onnx.proto.
fn onnx_type(data_type: DataType) -> u8 {
    match data_type {
        DataType::F32 => 1,
        DataType::U8 => 2,
        DataType::I32 => 6,
        DataType::I64 => 7,
        DataType::F16 => 10,
        DataType::F64 => 11,
        DataType::Bf16 => 16,
    }
}

/// A protobuf field of bytes: tag, length (below 128 here), content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).expect("a short field");
    [&[number << 3 | 2, length], content].concat()
}

/// A protobuf field of a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// `y = Identity(x)` with one free axis, as the bytes of an ONNX model.
fn identity_model(data_type: DataType) -> Vec<u8> {
    let dimension = field(1, &field(2, b"n"));
    let tensor = [number(1, onnx_type(data_type)), field(2, &dimension)].concat();
    let value = |name: &[u8]| [field(1, name), field(2, &field(1, &tensor))].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"Identity")].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &value(b"x")), field(12, &value(b"y"))].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

#[test]
fn every_element_type_passes_through_unchanged() {
    let Some(real) = RealModel::get("every_element_type_passes_through_unchanged") else { return };
    let libraries = Libraries { onnxruntime: real.store.find_library(&ONNX_RUNTIME), ..Libraries::default() };
    let backends = wisp_backends::all(&libraries);
    let backend = backends.iter().find(|backend| backend.id() == BackendId::Ort).expect("is compiled in");
    let folder = tempfile::tempdir().expect("temporary folder");
    for data_type in DataType::ALL {
        let file = folder.path().join(format!("{data_type}.onnx"));
        std::fs::write(&file, identity_model(data_type)).expect("written");
        let spec = |name: &str| TensorSpec { name: name.to_owned(), data_type, shape: vec![Axis::Free], below: None };
        let signature = Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] };
        let request = LoadRequest::plain("identity", &file, ModelFormat::Onnx, &signature);
        let mut session = backend.load(&request).unwrap_or_else(|error| panic!("{data_type}: {error}"));
        let bytes: Vec<u8> = (0..5 * data_type.size_bytes()).map(|byte| (byte * 37 % 120) as u8).collect();
        let tensor = Tensor::new(data_type, &[5], bytes.clone().into()).expect("fits");
        let outputs = session.run(&Batch::Padded(vec![NamedTensor::new("x", tensor)])).expect("runs");
        assert_eq!((outputs[0].tensor.data_type(), outputs[0].tensor.shape()), (data_type, &[5][..]));
        assert_eq!(outputs[0].tensor.data(), &bytes, "{data_type}");

        let wrong = if data_type == DataType::U8 { DataType::I32 } else { DataType::U8 };
        let tensor = Tensor::new(wrong, &[1], vec![0; wrong.size_bytes()].into()).expect("fits");
        session.run(&Batch::Padded(vec![NamedTensor::new("x", tensor)])).expect_err("is another type");
    }
}
