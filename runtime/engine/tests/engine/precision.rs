//! Which precision is used: what changes the choice, and what is refused.

use std::path::Path;

use wisp_core::{BackendId, Device, ModelFormat, Precision};
use wisp_engine::{Engine, PrecisionChoice, probe_backend};
use wisp_model_export::calibration::Ranges;
use wisp_model_export::{ExportRequest, export_bert_int8_static};
use wisp_model_store::{NoProgress, Sha256Digest};
use wisp_testing::{MODEL, RealModel};

use crate::changed::{ON_OPENVINO, ON_ORT, configured, store_beside, with_manifest};

/// The environment variable by which oneDNN, and with it OpenVINO, uses no more than it names of the processor.
const ISA_VARIABLE: &str = "ONEDNN_MAX_CPU_ISA";

/// Set in the child process of a test: the folder that it works in.
const CHILD_VARIABLE: &str = "WISP_TEST_CHILD_FOLDER";

/// What precedes the precision that the child process chose.
const CHOSEN: &str = "chosen: ";

const STATIC_FILE: &str = "model-int8-static.onnx";

#[test]
fn a_tighter_tolerance_changes_what_auto_chooses_and_what_may_be_asked_for() {
    let test = "a_tighter_tolerance_changes_what_auto_chooses_and_what_may_be_asked_for";
    let Some(real) = RealModel::get(test) else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let tight = |text: String| {
        let keep = |line: &str| match line.split_once(" = { min_cosine") {
            Some((precision @ ("f16" | "bf16" | "int8"), _)) => {
                format!("{precision} = {{ min_cosine = 0.9999999, max_abs_error = 1e-7 }}")
            }
            _ => line.to_owned(),
        };
        text.lines().map(keep).collect::<Vec<_>>().join("\n")
    };
    let source = with_manifest(&real, folder.path(), tight);
    let start = |precision| Engine::start(configured(&source, ON_OPENVINO, precision), &store, &NoProgress);

    let engine = start(PrecisionChoice::Auto).unwrap_or_else(|error| panic!("{error}"));
    let model = &engine.models()[0];
    assert_eq!(model.precision, Precision::F32, "{}", model.reason);
    assert!(model.reason.contains("int8 (model-int8.onnx): golden vectors: case"), "{}", model.reason);
    assert!(model.proof.batching.padding.is_proven(), "{:?}", model.proof.batching);

    let error = start(PrecisionChoice::Exactly(Precision::Int8)).err().expect("is not proven").to_string();
    assert!(error.contains("int8 must reach 0.9999999"), "{error}");

    // With the tolerances of the manifest, the same machine proves what it refused, and may be told to use it.
    let real_source = configured(MODEL, ON_OPENVINO, PrecisionChoice::Exactly(Precision::Int8));
    let engine = Engine::start(real_source, &real.store, &NoProgress).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(engine.models()[0].precision, Precision::Int8);
}

/// The static int8 form with the ranges that most tools take, in place of ours.
fn with_naive_ranges(real: &RealModel, folder: &Path) -> String {
    let weights = real.model.manifest.file_of_format(ModelFormat::Safetensors).expect("listed");
    let weights = real.store.ensure(&real.model, weights, &NoProgress).expect("files");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(MODEL).join("calibration/ranges.json");
    let ranges = Ranges::parse(&std::fs::read(&path).expect("in the source tree"), &path).expect("well formed").naive();
    let output = folder.join(STATIC_FILE);
    let config = weights.architecture.expect("has one");
    let request = ExportRequest { weights: &weights.file, config: &config, output: &output };
    let report = export_bert_int8_static(&request, &ranges).expect("the ranges fit");
    let sha256 = Sha256Digest::of(&std::fs::read(&output).expect("was written")).to_string();

    let listed = real.model.manifest.file(STATIC_FILE).expect("listed");
    let source = with_manifest(real, folder, |text| {
        let text = text.replace(&listed.size_bytes.to_string(), &report.bytes.to_string());
        text.replace(&listed.sha256.to_string(), &sha256)
    });
    let place = Path::new(&source).join(STATIC_FILE);
    if place.is_symlink() {
        std::fs::remove_file(&place).expect("the link to our form");
    }
    std::fs::rename(output, place).expect("the same file system");
    source
}

#[test]
fn the_naive_static_int8_form_is_refused_and_ours_is_accepted() {
    let test = "the_naive_static_int8_form_is_refused_and_ours_is_accepted";
    let Some(real) = RealModel::get(test) else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let naive = with_naive_ranges(&real, folder.path());
    for placement in [ON_ORT, ON_OPENVINO] {
        let engine = Engine::start(configured(&naive, placement, PrecisionChoice::Auto), &store, &NoProgress)
            .unwrap_or_else(|error| panic!("{placement}: {error}"));
        let reason = &engine.models()[0].reason;
        assert!(reason.contains(&format!("int8 ({STATIC_FILE}): golden vectors: case")), "{placement}: {reason}");
    }
    let start = |source: &str, store| {
        Engine::start(configured(source, ON_ORT, PrecisionChoice::Exactly(Precision::Int8)), store, &NoProgress)
    };
    let error = start(&naive, &store).err().expect("is not proven").to_string();
    assert!(error.contains("int8 must reach 0.995"), "{error}");

    let engine = start(MODEL, &real.store).unwrap_or_else(|error| panic!("{error}"));
    let golden = engine.models()[0].proof.golden.expect("has golden vectors");
    assert!(golden.min_cosine >= 0.995 && golden.cases == real.golden.texts.len(), "{golden:?}");
}

#[test]
fn a_processor_whose_bf16_is_masked_gets_another_precision() {
    let test = "precision::a_processor_whose_bf16_is_masked_gets_another_precision";
    if let Ok(folder) = std::env::var(CHILD_VARIABLE) {
        return choose_in(Path::new(&folder));
    }
    let Some(real) = RealModel::get(test) else { return };
    let report = probe_backend(&real.store, BackendId::OpenVino).expect("is compiled in");
    let cpu = report.devices.iter().find(|device| device.device == Device::Cpu).expect("was looked for");
    if !cpu.precisions.contains(&Precision::Bf16) {
        return wisp_testing::lacks(test, "processor with bf16");
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let chosen = |isa: &str| {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this is a program"));
        child.args(["--exact", test, "--nocapture"]).env(CHILD_VARIABLE, folder.path()).env(ISA_VARIABLE, isa);
        let output = child.output().expect("it starts again");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        // The name of this test is printed as well, and names the precision.
        let (_, chosen) = told.split_once(CHOSEN).expect("the child says what it chose");
        chosen.lines().next().unwrap_or_default().to_owned()
    };
    let whole = chosen("DEFAULT");
    // Which of them is faster depends on the processor, and on what else it does; that it was looked at does not.
    assert!(whole.contains("bf16"), "{whole}");
    let masked = chosen("AVX512_CORE");
    assert!(masked.starts_with("f32 of ") && !masked.contains("bf16"), "{masked}");
}

/// Starts the model in the precision that is fastest here, without int8, and prints which that is.
fn choose_in(folder: &Path) {
    let real = RealModel::get("a child").expect("the parent had it");
    let source = with_manifest(&real, folder, |text| {
        let is_kept = |line: &&str| !line.starts_with("int8 = ");
        text.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
    });
    let store = store_beside(&real, folder);
    let engine = Engine::start(configured(&source, ON_OPENVINO, PrecisionChoice::Auto), &store, &NoProgress)
        .unwrap_or_else(|error| panic!("{error}"));
    let model = &engine.models()[0];
    println!("{CHOSEN}{} of {}", model.precision, model.reason);
}
