//! What every backend must do, run on each backend of the table with the real model, on the processor and on every other
//! device that this machine has.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenizers::Tokenizer;
use wisp_backends::Libraries;
use wisp_core::{
    Backend, BackendError, BackendId, Batch, Device, ErrorKind, FusedOutput, Kinded, Layout, LoadRequest, ModelFormat,
    NamedTensor, PackedBatch, Precision, Session, Tensor,
};
use wisp_model_store::{CUDA_LIBRARIES, LocalModel, NoProgress, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO};
use wisp_testing::{RealModel, cosine};

const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";
const POOLED: &str = "sentence_embedding";
const HIDDEN: &str = "last_hidden_state";
const MAX_TOKENS: usize = 256;
const WIDTH: usize = 384;

/// Everything the suite needs, and each backend with its files.
struct Suite {
    real: RealModel,
    tokenizer: Tokenizer,
    fused: Vec<FusedOutput>,
    backends: Vec<(Box<dyn Backend>, LocalModel)>,
}

impl Suite {
    fn get(test: &str) -> Option<Self> {
        let real = RealModel::get(test)?;
        let folder = |library| Some(real.store.find_library(library)?.parent()?.to_owned());
        let libraries = Libraries {
            openvino: real.store.find_library(&OPENVINO),
            onnxruntime: real.store.find_library(&ONNX_RUNTIME),
            onnxruntime_cuda: real.store.find_library(&ONNX_RUNTIME_CUDA),
            cuda: CUDA_LIBRARIES.into_iter().filter_map(folder).collect(),
        };
        let mut backends = Vec::new();
        for backend in wisp_backends::all(&libraries) {
            let file = real.model.manifest.file_of(backend.id(), backend.formats(), Precision::F32);
            let file = file.expect("the manifest has a file for every backend");
            let files = real.store.ensure(&real.model, file, &NoProgress).expect("files of the model");
            backends.push((backend, files));
        }
        let file = backends[0].1.tokenizer.clone().expect("the model has a tokenizer");
        let mut tokenizer = Tokenizer::from_file(file).expect("a tokenizer");
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).expect("truncation can be reset");
        let embedding = real.model.manifest.embedding.clone().expect("the model embeds");
        let fused = FusedOutput { name: POOLED.to_owned(), pooling: embedding.pooling, is_normalized: true };
        Some(Self { real, tokenizer, fused: vec![fused], backends })
    }

    fn request<'a>(&'a self, files: &'a LocalModel) -> LoadRequest<'a> {
        let manifest = &self.real.model.manifest;
        LoadRequest {
            architecture: files.architecture.as_deref(),
            fused_outputs: &self.fused,
            threads: 2,
            ragged: manifest.ragged.as_ref(),
            ..LoadRequest::plain(wisp_testing::MODEL, &files.file, files.format, &manifest.signature)
        }
    }

    /// One session for each device of each backend.
    fn sessions(&self) -> Vec<Box<dyn Session>> {
        let mut sessions = Vec::new();
        for (backend, files) in &self.backends {
            for device in devices(backend.as_ref()) {
                let session = backend.load(&LoadRequest { device, ..self.request(files) });
                sessions.push(session.unwrap_or_else(|error| panic!("{} on {device}: {error}", backend.id())));
            }
        }
        sessions
    }

    /// Token ids as sentence-transformers makes them: the last token of a cut text is the separator.
    fn ids(&self, text: &str) -> Vec<i64> {
        let encoding = self.tokenizer.encode(text, true).expect("encodes");
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if ids.len() > MAX_TOKENS {
            let separator = ids[ids.len() - 1];
            ids.truncate(MAX_TOKENS);
            ids[MAX_TOKENS - 1] = separator;
        }
        ids
    }

    fn rows(&self, indices: impl IntoIterator<Item = usize>) -> Vec<Vec<i64>> {
        indices.into_iter().map(|index| self.ids(&self.real.golden.texts[index])).collect()
    }
}

/// The processor, whatever the backend finds, and every other device that lacks nothing and computes in f32.
fn devices(backend: &dyn Backend) -> Vec<Device> {
    let found = backend.probe().devices.into_iter();
    let usable = found.filter(|found| found.missing.is_none() && found.precisions.contains(&Precision::F32));
    let others = usable.map(|found| found.device).filter(|&device| device != Device::Cpu);
    std::iter::once(Device::Cpu).chain(others).collect()
}

fn named(name: &str, shape: &[usize], values: &[i64]) -> NamedTensor {
    NamedTensor::new(name, Tensor::from_slice(shape, values).expect("fits"))
}

/// Rows padded to `length`.
fn padded_to(rows: &[Vec<i64>], length: usize) -> Vec<NamedTensor> {
    let fill = |value: &dyn Fn(i64) -> i64| -> Vec<i64> {
        let row = |row: &Vec<i64>| {
            row.iter().map(|&id| value(id)).chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>()
        };
        rows.iter().flat_map(row).collect()
    };
    let shape = [rows.len(), length];
    vec![named(IDS, &shape, &fill(&|id| id)), named(MASK, &shape, &fill(&|_| 1)), named(TYPES, &shape, &fill(&|_| 0))]
}

fn padded(rows: &[Vec<i64>]) -> Batch {
    let length = rows.iter().map(Vec::len).max().expect("at least one row");
    Batch::Padded(padded_to(rows, length))
}

fn output<'a>(outputs: &'a [NamedTensor], name: &str) -> &'a Tensor {
    &outputs.iter().find(|output| output.name == name).unwrap_or_else(|| panic!("output {name}")).tensor
}

fn pooled(session: &mut dyn Session, batch: &Batch) -> Vec<Vec<f32>> {
    let outputs = session.run(batch).unwrap_or_else(|error| panic!("{}: {error}", session.info().placement));
    let tensor = output(&outputs, POOLED);
    tensor.view::<f32>().expect("f32").chunks_exact(WIDTH).map(<[f32]>::to_vec).collect()
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    let error = a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    let cosine = cosine(a, b);
    assert!(cosine >= 0.99999 && error <= 1e-4, "{what}: cosine {cosine}, error {error}");
}

#[test]
fn reaches_the_golden_vectors_one_text_at_a_time() {
    let Some(suite) = Suite::get("reaches_the_golden_vectors_one_text_at_a_time") else { return };
    for mut session in suite.sessions() {
        for index in 0..suite.real.golden.texts.len() {
            let vector = pooled(session.as_mut(), &padded(&suite.rows([index])));
            let what = format!("{}: text {index}", session.info().placement);
            assert_close(&vector[0], suite.real.golden.vector(index), &what);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch_or_its_padding() {
    let Some(suite) = Suite::get("a_row_does_not_depend_on_its_batch_or_its_padding") else { return };
    let indices = [0, 60, 6, 30, 52, 12];
    let rows = suite.rows(indices);
    for mut session in suite.sessions() {
        let placement = session.info().placement;
        let batched = pooled(session.as_mut(), &padded(&rows));
        for (row, &index) in indices.iter().enumerate() {
            assert_close(
                &batched[row],
                suite.real.golden.vector(index),
                &format!("{placement}: text {index} of a batch"),
            );
        }
        let far = pooled(session.as_mut(), &Batch::Padded(padded_to(&rows[..1], 300)));
        assert_close(&far[0], suite.real.golden.vector(0), &format!("{placement}: far padding"));
    }
}

#[test]
fn packed_rows_give_what_padded_rows_give() {
    let Some(suite) = Suite::get("packed_rows_give_what_padded_rows_give") else { return };
    let indices = [3, 55, 7, 40, 2];
    let rows = suite.rows(indices);
    let mut offsets = vec![0];
    offsets.extend(rows.iter().scan(0, |end, row| {
        *end += row.len();
        Some(*end)
    }));
    let tokens: Vec<i64> = rows.concat();
    let packed = |offsets: Vec<usize>| {
        Batch::Packed(PackedBatch { inputs: vec![named(IDS, &[tokens.len()], &tokens)], offsets })
    };
    for mut session in suite.sessions() {
        let placement = session.info().placement;
        if !session.info().layouts.contains(&Layout::Packed) {
            let refused = session.run(&packed(offsets.clone())).expect_err("does not take packed rows");
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{placement}: {refused}");
            continue;
        }
        let vectors = pooled(session.as_mut(), &packed(offsets.clone()));
        for (row, &index) in indices.iter().enumerate() {
            assert_close(&vectors[row], suite.real.golden.vector(index), &format!("{placement}: packed text {index}"));
        }
        for wrong in [vec![], vec![0], vec![0, 5], vec![1, tokens.len()], vec![0, 5, 5, tokens.len()]] {
            let refused = session.run(&packed(wrong)).expect_err("wrong offsets");
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{placement}: {refused}");
        }
    }
}

#[test]
fn hidden_states_have_a_row_for_every_token() {
    let Some(suite) = Suite::get("hidden_states_have_a_row_for_every_token") else { return };
    let rows = suite.rows([0, 1, 9]);
    let length = rows.iter().map(Vec::len).max().expect("three rows");
    let mut states = Vec::new();
    for mut session in suite.sessions() {
        let outputs = session.run(&padded(&rows)).expect("runs");
        let hidden = output(&outputs, HIDDEN);
        assert_eq!(hidden.shape(), [rows.len(), length, WIDTH]);
        states.push(hidden.view::<f32>().expect("f32")[..rows[0].len() * WIDTH].to_vec());
    }
    // Tokens that are not masked agree between backends; what stands at masked ones is nobody's business.
    for other in &states[1..] {
        assert_close(&states[0], other, "hidden states of two backends");
    }
}

#[test]
fn wrong_inputs_are_refused_and_the_session_goes_on() {
    let Some(suite) = Suite::get("wrong_inputs_are_refused_and_the_session_goes_on") else { return };
    let good = padded(&suite.rows([0]));
    let without = |name: &str| -> Vec<NamedTensor> {
        let Batch::Padded(inputs) = &good else { panic!("is padded") };
        inputs.iter().filter(|input| input.name != name).cloned().collect()
    };
    let with = |name: &str, tensor: Tensor| {
        let mut inputs = without(name);
        inputs.push(NamedTensor::new(name, tensor));
        Batch::Padded(inputs)
    };
    let i64s =
        |shape: &[usize], value: i64| Tensor::from_slice(shape, &vec![value; shape.iter().product()]).expect("fits");
    let length = suite.rows([0])[0].len();
    let cases = [
        ("missing", Batch::Padded(without(MASK))),
        ("f32 ids", with(IDS, Tensor::from_slice(&[1, length], &vec![0.0_f32; length]).expect("fits"))),
        ("one axis", with(IDS, i64s(&[length], 1))),
        ("no rows", with(IDS, i64s(&[0, length], 1))),
        ("other length", with(MASK, i64s(&[1, length + 3], 1))),
        ("id beyond the vocabulary", with(IDS, i64s(&[1, length], 999_999))),
        ("negative id", with(IDS, i64s(&[1, length], -5_000_000))),
        ("longer than any position", Batch::Padded(padded_to(&[vec![101; 513]], 513))),
    ];
    for mut session in suite.sessions() {
        let placement = session.info().placement;
        for (what, batch) in &cases {
            let error = session.run(batch).expect_err(&format!("{placement}: {what}"));
            // ONNX Runtime finds out about a row that is too long in the middle of the graph, and blames the graph.
            if *what != "longer than any position" {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{placement}: {what}: {error}");
            }
        }
        let vector = pooled(session.as_mut(), &good);
        assert_close(&vector[0], suite.real.golden.vector(0), &format!("{placement}: after bad inputs"));
    }
}

#[test]
fn a_file_that_is_not_the_model_fails_at_load() {
    let Some(suite) = Suite::get("a_file_that_is_not_the_model_fails_at_load") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    for (backend, files) in &suite.backends {
        let whole = std::fs::read(&files.file).expect("the model file");
        for (what, bytes) in [("empty", &[][..]), ("truncated", &whole[..whole.len() / 2]), ("garbage", &[7; 4096][..])]
        {
            let file: PathBuf = folder.path().join(format!("{}-{what}", backend.id()));
            std::fs::write(&file, bytes).expect("written");
            let request = LoadRequest { file: &file, ..suite.request(files) };
            let Err(error) = backend.load(&request) else { panic!("{}: loaded a file that is {what}", backend.id()) };
            assert!(matches!(&error, BackendError::Model { file: named, .. } if *named == file), "{what}: {error}");
        }
    }
}

#[test]
fn what_was_not_asked_for_is_never_used() {
    let Some(suite) = Suite::get("what_was_not_asked_for_is_never_used") else { return };
    for (backend, files) in &suite.backends {
        let load = |device, precision, format| {
            let request = LoadRequest { device, precision, format, ..suite.request(files) };
            backend.load(&request).map(|session| session.info().clone())
        };
        let error = load(Device::Npu, Precision::F32, files.format).expect_err("has no NPU");
        assert!(error.to_string().contains("npu"), "{error}");
        // OpenVINO takes any weights for int8: that a file is quantised is what the manifest says.
        if backend.id() != BackendId::OpenVino {
            let error = load(Device::Cpu, Precision::Int8, files.format).expect_err("was not quantised");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
        let other = if files.format == ModelFormat::Onnx { ModelFormat::Safetensors } else { ModelFormat::Onnx };
        let error = load(Device::Cpu, Precision::F32, other).expect_err("does not read it");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

#[test]
fn a_missing_library_is_a_finding_with_a_remedy() {
    let missing = |name: &str| Some(Path::new("/nonexistent").join(name));
    let missing = Libraries {
        openvino: missing("libopenvino_c.so"),
        onnxruntime: missing("libonnxruntime.so"),
        ..Libraries::default()
    };
    for backend in wisp_backends::all(&missing) {
        let report = backend.probe();
        assert_eq!(report.backend, backend.id());
        for device in &report.devices {
            // A process that has opened a library in another test keeps it; then only devices are missing.
            if let Some(reason) = device.missing.as_ref().filter(|_| report.version.is_none()) {
                assert!(reason.contains("/nonexistent/lib"), "{reason}");
            }
        }
    }
}

#[test]
fn a_running_inference_can_be_cancelled() {
    let Some(suite) = Suite::get("a_running_inference_can_be_cancelled") else { return };
    // Longer than any backend needs to be ready again: some do not stop what is over sooner.
    let long = Batch::Padded(padded_to(&vec![vec![101; MAX_TOKENS]; 160], MAX_TOKENS));
    for mut session in suite.sessions() {
        let placement = session.info().placement;
        let Some(canceller) = session.canceller() else { continue };
        let is_done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_done);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                canceller.cancel();
                std::thread::yield_now();
            }
        });
        let error = session.run(&long).expect_err("is cancelled");
        is_done.store(true, Ordering::Relaxed);
        thread.join().expect("the canceller does not panic");
        assert!(matches!(error, BackendError::Cancelled), "{placement}: {error}");
        let vector = pooled(session.as_mut(), &padded(&suite.rows([0])));
        assert_close(&vector[0], suite.real.golden.vector(0), &format!("{placement}: after a cancellation"));
    }
}

/// Set in the child process of a test: which backend it looks at.
#[cfg(target_os = "linux")]
const CHILD_VARIABLE: &str = "WISP_TEST_CHILD_BACKEND";

/// Bytes of this process that the kernel cannot take back. Source: proc(5), `RssAnon`.
#[cfg(target_os = "linux")]
fn taken_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("is told");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// In a process of its own, where nothing else takes memory meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn a_session_that_is_closed_gives_its_memory_back() {
    let test = "a_session_that_is_closed_gives_its_memory_back";
    let Some(suite) = Suite::get(test) else { return };
    let Ok(name) = std::env::var(CHILD_VARIABLE) else {
        for (backend, _) in &suite.backends {
            let mut child = std::process::Command::new(std::env::current_exe().expect("this is a program"));
            child.args(["--exact", test, "--nocapture"]).env(CHILD_VARIABLE, backend.id().to_string());
            let output = child.output().expect("it starts again");
            let told = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
        }
        return;
    };
    let (backend, files) =
        suite.backends.iter().find(|(backend, _)| backend.id().to_string() == name).expect("is in the table");
    let weights = std::fs::metadata(&files.file).expect("is there").len().max(80 << 20);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let mut session = backend.load(&suite.request(files)).unwrap_or_else(|error| panic!("{error}"));
        pooled(session.as_mut(), &padded(&suite.rows([0])));
        drop(session);
        taken.push(taken_bytes());
    }
    // What libraries keep for themselves comes with the first one; a copy of the weights that stays comes with each.
    let grown = taken[5].saturating_sub(taken[1]);
    assert!(grown < weights, "{name} keeps {grown} bytes of four sessions, whose weights have {weights}: {taken:?}");
    assert!(taken[5] < 2 * weights, "{name} keeps {taken:?}");
}
