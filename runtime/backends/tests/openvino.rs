//! What only OpenVINO does: static shapes, combined devices, kept compilations, IR and TensorFlow Lite.

use std::path::Path;

use wisp_backends::Libraries;
use wisp_core::{
    Axis, Backend, BackendError, BackendId, Batch, DataType, Device, ErrorKind, FusedOutput, Kinded, LoadRequest,
    ModelFormat, NamedTensor, Precision, Session, Signature, StaticShape, Tensor, TensorSpec,
};
use wisp_model_store::{LocalModel, NoProgress, OPENVINO};
use wisp_testing::{RealModel, cosine};

/// The real model as OpenVINO loads it.
struct Bench {
    real: RealModel,
    backend: Box<dyn Backend>,
    files: LocalModel,
    fused: Vec<FusedOutput>,
}

impl Bench {
    fn get(test: &str) -> Option<Self> {
        let real = RealModel::get(test)?;
        let libraries = Libraries { openvino: real.store.find_library(&OPENVINO), ..Libraries::default() };
        let backend = wisp_backends::all(&libraries).into_iter().find(|backend| backend.id() == BackendId::OpenVino);
        let manifest = &real.model.manifest;
        let file = manifest.file_of(BackendId::OpenVino, &[ModelFormat::Onnx], Precision::F32).expect("listed").clone();
        let files = real.store.ensure(&real.model, &file, &NoProgress).expect("files of the model");
        let embedding = manifest.embedding.clone().expect("the model embeds");
        let name = embedding.fused_output.clone().expect("is fused");
        let fused = vec![FusedOutput { name, pooling: embedding.pooling, is_normalized: true }];
        Some(Self { real, backend: backend.expect("is compiled in"), files, fused })
    }

    fn request(&self) -> LoadRequest<'_> {
        let manifest = &self.real.model.manifest;
        LoadRequest {
            fused_outputs: &self.fused,
            threads: 2,
            ragged: manifest.ragged.as_ref(),
            ..LoadRequest::plain(wisp_testing::MODEL, &self.files.file, self.files.format, &manifest.signature)
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Box<dyn Session> {
        self.backend.load(request).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self, request: &LoadRequest<'_>) -> BackendError {
        match self.backend.load(request) {
            Ok(session) => panic!("loaded on {}", session.info().placement),
            Err(error) => error,
        }
    }
}

/// Rows of made-up tokens, each of its own length, filled up to the longest.
fn batch(lengths: &[usize]) -> Batch {
    let longest = lengths.iter().copied().max().expect("a row");
    let fill = |value: &dyn Fn(usize) -> i64| -> Vec<i64> {
        lengths
            .iter()
            .flat_map(|&length| (0..longest).map(move |at| (at < length, at)))
            .map(|(is_in, at)| if is_in { value(at) } else { 0 })
            .collect()
    };
    let shape = [lengths.len(), longest];
    let named = |name: &str, values: &[i64]| NamedTensor::new(name, Tensor::from_slice(&shape, values).expect("fits"));
    Batch::Padded(vec![
        named("input_ids", &fill(&|at| 2000 + 37 * at as i64)),
        named("attention_mask", &fill(&|_| 1)),
        named("token_type_ids", &fill(&|_| 0)),
    ])
}

fn outputs(session: &mut dyn Session, batch: &Batch) -> (Vec<usize>, Vec<f32>) {
    let outputs = session.run(batch).unwrap_or_else(|error| panic!("{error}"));
    let pooled = outputs.iter().find(|output| output.name == "sentence_embedding").expect("is fused");
    let hidden = outputs.iter().find(|output| output.name == "last_hidden_state").expect("is declared");
    (hidden.tensor.shape().to_vec(), pooled.tensor.view::<f32>().expect("f32").to_vec())
}

#[test]
fn static_shapes_give_what_free_axes_give() {
    let Some(bench) = Bench::get("static_shapes_give_what_free_axes_give") else { return };
    let shapes = [(1, 16), (4, 32), (1, 64)].map(|(rows, length)| StaticShape { rows, length });
    let mut free = bench.load(&bench.request());
    let mut fixed = bench.load(&LoadRequest { static_shapes: &shapes, ..bench.request() });
    for lengths in [&[5][..], &[16], &[17], &[3, 30, 12], &[32, 32, 32, 32]] {
        let (shape, expected) = outputs(free.as_mut(), &batch(lengths));
        let (actual_shape, actual) = outputs(fixed.as_mut(), &batch(lengths));
        assert_eq!(actual_shape, shape, "{lengths:?}");
        for (row, (expected, actual)) in expected.chunks(384).zip(actual.chunks(384)).enumerate() {
            let cosine = cosine(expected, actual);
            assert!(cosine >= 0.99999, "{lengths:?}, row {row}: cosine {cosine}");
        }
    }
    for lengths in [&[65][..], &[2, 2, 2, 2, 2], &[40, 40]] {
        let error = fixed.run(&batch(lengths)).expect_err("fits no shape");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("1 × 16, 1 × 64, 4 × 32"), "{error}");
    }
}

#[test]
fn a_combination_runs_on_what_is_there_and_says_where() {
    let Some(bench) = Bench::get("a_combination_runs_on_what_is_there_and_says_where") else { return };
    let on = |device: &str| LoadRequest { device: device.parse().expect(device), ..bench.request() };
    let report = bench.backend.report(Device::Npu).expect("is looked for");
    if report.missing.is_none() {
        return wisp_testing::lacks("a_combination_runs_on_what_is_there_and_says_where", "machine without an NPU");
    }
    let mut session = bench.load(&on("auto:npu,cpu"));
    assert_eq!(session.info().placement.device, Device::Cpu, "what really runs is what is reported");
    outputs(session.as_mut(), &batch(&[7]));
    let error = bench.refused(&on("hetero:npu,cpu")).to_string();
    assert!(error.contains("`hetero:npu,cpu`: npu: no Intel NPU was found"), "{error}");
}

#[test]
fn absent_devices_say_what_they_need() {
    let Some(bench) = Bench::get("absent_devices_say_what_they_need") else { return };
    for (device, needs) in [(Device::Gpu(7), "libOpenCL.so.1"), (Device::Npu, "libze_loader.so.1")] {
        let report = bench.backend.report(device).expect("is looked for");
        let Some(missing) = report.missing else { continue };
        assert!(missing.contains(needs), "{missing}");
        let error = bench.refused(&LoadRequest { device, ..bench.request() });
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[test]
fn a_precision_that_the_processor_lacks_is_refused_and_one_that_it_has_is_used() {
    let test = "a_precision_that_the_processor_lacks_is_refused_and_one_that_it_has_is_used";
    let Some(bench) = Bench::get(test) else { return };
    let native = bench.backend.report(Device::Cpu).expect("is looked for").precisions;
    for precision in [Precision::Bf16, Precision::F16] {
        let request = LoadRequest { precision, ..bench.request() };
        if native.contains(&precision) {
            assert_eq!(bench.load(&request).info().precision, precision);
        } else {
            let error = bench.refused(&request);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(&format!("precision {precision} on cpu")), "{error}");
            wisp_testing::lacks(test, &format!("{precision} arithmetic in its processor"));
        }
    }
}

#[test]
fn what_is_compiled_is_kept_and_found_again() {
    let Some(bench) = Bench::get("what_is_compiled_is_kept_and_found_again") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let request = LoadRequest { compiled: Some(folder.path()), ..bench.request() };
    let blobs = || std::fs::read_dir(folder.path()).expect("a folder").count();
    let (_, first) = outputs(bench.load(&request).as_mut(), &batch(&[9]));
    let kept = blobs();
    assert!(kept > 0, "nothing was kept");
    let (_, second) = outputs(bench.load(&request).as_mut(), &batch(&[9]));
    assert_eq!(blobs(), kept, "the second load compiled anew");
    assert_eq!(first, second);
}

#[test]
fn signatures_are_read_from_files() {
    let Some(bench) = Bench::get("signatures_are_read_from_files") else { return };
    let found = bench.backend.inspect(&bench.files.file, ModelFormat::Onnx).expect("an ONNX file");
    let promised = &bench.real.model.manifest.signature;
    for (found, promised) in found.inputs.iter().zip(&promised.inputs) {
        assert_eq!((&found.name, found.data_type, &found.shape), (&promised.name, promised.data_type, &promised.shape));
    }
    let error = bench.backend.inspect(&bench.files.file, ModelFormat::Safetensors).expect_err("does not read it");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// An IR that adds 1, 2 and 3 to a row of three numbers.
const IR: &str = r#"<?xml version="1.0"?>
<net name="add" version="11">
<layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="-1,3" element_type="f32"/>
<output><port id="0" precision="FP32" names="x"><dim>-1</dim><dim>3</dim></port></output></layer>
<layer id="1" name="c" type="Const" version="opset1"><data element_type="f32" shape="1,3" offset="0" size="12"/>
<output><port id="0" precision="FP32"><dim>1</dim><dim>3</dim></port></output></layer>
<layer id="2" name="y" type="Add" version="opset1"><data auto_broadcast="numpy"/>
<input><port id="0" precision="FP32"><dim>-1</dim><dim>3</dim></port><port id="1" precision="FP32"><dim>1</dim><dim>3</dim></port></input>
<output><port id="2" precision="FP32" names="y"><dim>-1</dim><dim>3</dim></port></output></layer>
<layer id="3" name="result" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>-1</dim><dim>3</dim></port></input></layer>
</layers>
<edges>
<edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
</edges>
</net>
"#;

fn write_ir(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("model.xml");
    std::fs::write(&file, IR).expect("written");
    let weights: Vec<u8> = [1.0_f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join("model.bin"), weights).expect("written");
    file
}

#[test]
fn ir_is_read_with_its_weights_and_refused_without() {
    let Some(bench) = Bench::get("ir_is_read_with_its_weights_and_refused_without") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = write_ir(folder.path());
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        data_type: DataType::F32,
        shape: vec![Axis::Free, Axis::Fixed(3)],
        below: None,
    };
    let signature = Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] };
    assert_eq!(bench.backend.inspect(&file, ModelFormat::OpenVino).expect("an IR"), signature);
    let request = LoadRequest {
        file: &file,
        format: ModelFormat::OpenVino,
        signature: &signature,
        fused_outputs: &[],
        ragged: None,
        ..bench.request()
    };
    let input = Tensor::from_slice(&[2, 3], &[10.0_f32, 10.0, 10.0, 20.0, 20.0, 20.0]).expect("fits");
    let outputs = bench.load(&request).run(&Batch::Padded(vec![NamedTensor::new("x", input)])).expect("runs");
    assert_eq!(outputs[0].tensor.view::<f32>().expect("f32"), [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);

    let other = Signature { outputs: vec![spec("z")], ..signature.clone() };
    let error = bench.refused(&LoadRequest { signature: &other, ..request.clone() }).to_string();
    assert!(error.contains("output `z` does not exist, there are `y`"), "{error}");
    std::fs::remove_file(folder.path().join("model.bin")).expect("was written");
    let error = bench.refused(&request);
    assert!(matches!(error, BackendError::Model { .. }), "{error}");
}

#[test]
fn nothing_of_a_cancelled_inference_reaches_the_next_one() {
    let Some(bench) = Bench::get("nothing_of_a_cancelled_inference_reaches_the_next_one") else { return };
    let mut fresh = bench.load(&bench.request());
    let mut session = bench.load(&bench.request());
    let canceller = session.canceller().expect("can be cancelled");
    let mut cancelled = 0;
    for round in 0..8_u64 {
        let canceller = std::sync::Arc::clone(&canceller);
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(1 + round * 40));
            canceller.cancel();
        });
        // Long enough to be stopped: an inference is cancelled only once it has taken longer than compiling does.
        let rows = 120 + usize::try_from(round % 5).expect("small");
        let ended = session.run(&batch(&vec![180; rows]));
        cancelled += usize::from(matches!(ended, Err(BackendError::Cancelled)));
        for lengths in [&[9][..], &[180, 3], &[30, 31, 32]] {
            let expected = outputs(fresh.as_mut(), &batch(lengths));
            let actual = outputs(session.as_mut(), &batch(lengths));
            assert_eq!(actual.0, expected.0, "round {round}, {lengths:?}");
            assert!(cosine(&actual.1, &expected.1) >= 0.99999, "round {round}, {lengths:?}");
        }
        stopper.join().expect("does not panic");
    }
    assert!(cancelled >= 3, "{cancelled} of 8 were cancelled: too few to tell");
}
