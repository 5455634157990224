//! What a GPU session does differently, on the CPU: bound inputs and outputs, and a log of placements.

use std::time::Instant;

use wisp_core::{FusedOutput, ModelFormat, Session as _, Tensor};
use wisp_model_store::{LocalModel, NoProgress, ONNX_RUNTIME};
use wisp_testing::RealModel;

use super::super::placement::{self, PlacementLog};
use super::super::{OrtBackend, configured, gpu};
use super::*;

const IDS: &str = "input_ids";

struct Fixture {
    real: RealModel,
    files: LocalModel,
    backend: OrtBackend,
}

impl Fixture {
    fn get(test: &str) -> Option<Self> {
        let real = RealModel::get(test)?;
        let file = real.model.manifest.file_of_format(ModelFormat::Onnx).expect("listed");
        let files = real.store.ensure(&real.model, file, &NoProgress).expect("files of the model");
        let backend = OrtBackend::new(real.store.find_library(&ONNX_RUNTIME), Vec::new());
        Some(Self { real, files, backend })
    }

    fn request<'a>(&'a self, fused_outputs: &'a [FusedOutput]) -> LoadRequest<'a> {
        let signature = &self.real.model.manifest.signature;
        let plain = LoadRequest::plain(wisp_testing::MODEL, &self.files.file, ModelFormat::Onnx, signature);
        LoadRequest { fused_outputs, threads: 2, ..plain }
    }

    fn session(&self, is_bound: bool) -> OrtSession {
        let session = self.backend.load_on_cpu(&self.request(&[])).expect("loads");
        OrtSession { is_bound, ..session }
    }
}

/// Rows of `length` tokens, the first of them `first`.
fn batch(rows: usize, length: usize, first: i64) -> Batch {
    let tensor = |name: &str, value: &dyn Fn(usize) -> i64| {
        let values: Vec<i64> = (0..rows * length).map(value).collect();
        NamedTensor::new(name, Tensor::from_slice(&[rows, length], &values).expect("fits"))
    };
    Batch::Padded(vec![
        tensor(IDS, &|index| if index == 0 { first } else { 1000 + index as i64 % 997 }),
        tensor("attention_mask", &|_| 1),
        tensor("token_type_ids", &|_| 0),
    ])
}

#[test]
fn bound_inferences_give_what_plain_ones_give() {
    let Some(fixture) = Fixture::get("bound_inferences_give_what_plain_ones_give") else { return };
    let (mut plain, mut bound) = (fixture.session(false), fixture.session(true));
    for (rows, length) in [(1, 16), (5, 33), (2, 7)] {
        let batch = batch(rows, length, 101);
        // The same kernels in the same order: equal to the last bit.
        assert_eq!(bound.run(&batch).expect("runs"), plain.run(&batch).expect("runs"), "{rows} rows of {length}");
    }
}

#[test]
fn outputs_of_a_bound_inference_outlive_the_next_one() {
    let Some(fixture) = Fixture::get("outputs_of_a_bound_inference_outlive_the_next_one") else { return };
    let mut bound = fixture.session(true);
    let first = bound.run(&batch(2, 16, 101)).expect("runs");
    let copy: Vec<Vec<u8>> = first.iter().map(|output| output.tensor.data().to_vec()).collect();
    let second = bound.run(&batch(2, 16, 2000)).expect("runs");
    assert_ne!(first, second, "another token changes the outputs");
    drop(second);
    drop(bound);
    let kept: Vec<_> = first.iter().map(|output| output.tensor.data().to_vec()).collect();
    assert_eq!(kept, copy);
}

#[test]
fn a_bound_session_refuses_bad_values_and_goes_on() {
    let Some(fixture) = Fixture::get("a_bound_session_refuses_bad_values_and_goes_on") else { return };
    let mut bound = fixture.session(true);
    // Values are checked before; a row that is too long only the library finds out about.
    bound.run(&batch(1, 600, 101)).expect_err("is longer than any position");
    bound.run(&batch(1, 16, 101)).expect("still runs");
}

#[test]
fn a_bound_inference_can_be_cancelled() {
    let Some(fixture) = Fixture::get("a_bound_inference_can_be_cancelled") else { return };
    let mut bound = fixture.session(true);
    let canceller = bound.canceller().expect("can be cancelled");
    let is_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Arc::clone(&is_done);
    let thread = std::thread::spawn(move || {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            canceller.cancel();
            std::thread::yield_now();
        }
    });
    let error = bound.run(&batch(32, 128, 101)).expect_err("is cancelled");
    is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    thread.join().expect("the canceller does not panic");
    assert!(matches!(error, BackendError::Cancelled), "{error}");
    bound.run(&batch(1, 16, 101)).expect("still runs");
}

#[test]
fn a_session_says_where_its_operators_run() {
    let Some(fixture) = Fixture::get("a_session_says_where_its_operators_run") else { return };
    let library = fixture.backend.library().expect("opens");
    let (request, log) = (fixture.request(&[]), PlacementLog::new());
    let mut builder = placement::listen(configured(library, &request).expect("configures"), &log).expect("listens");
    let _session = builder.commit_from_file(request.file).expect("loads");
    let placements = log.finish();
    assert!(placements.count("CPUExecutionProvider") > 50, "{placements:?}");
    let reason = placements.check_device(gpu::PROVIDER).expect_err("nothing runs on a GPU here");
    assert!(reason.starts_with("the whole graph (") && reason.ends_with("on CPUExecutionProvider"), "{reason}");
}

#[test]
#[ignore = "prints figures: cargo test --release -p wisp-backends --lib figures -- --ignored --nocapture"]
fn figures_of_bound_and_plain_inferences() {
    const RUNS: usize = 60;
    let Some(fixture) = Fixture::get("figures_of_bound_and_plain_inferences") else { return };
    let (mut plain, mut bound) = (fixture.session(false), fixture.session(true));
    for (rows, length) in [(1, 8), (1, 128), (16, 64)] {
        let batch = batch(rows, length, 101);
        let mut times = [Vec::new(), Vec::new()];
        // Alternating, so that whatever else the machine does hits both.
        for _ in 0..RUNS {
            for (session, times) in [&mut plain, &mut bound].into_iter().zip(&mut times) {
                let start = Instant::now();
                session.run(&batch).expect("runs");
                times.push(start.elapsed());
            }
        }
        let [plain, bound] = times.map(|mut times| {
            times.sort();
            times[RUNS / 2]
        });
        println!("{rows} x {length}: plain {plain:?}, bound {bound:?} (median of {RUNS})");
    }
}
