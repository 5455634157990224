//! What is proven, what is refused, and what follows from it.

use std::path::Path;

use wisp_core::{BackendId, Device, Placement, Pooling, Precision};
use wisp_engine::{
    Config, Engine, ImportError, ImportRequest, Outcome, PrecisionChoice, Proof, Verdict, import, prove_model,
};
use wisp_model_store::{NoProgress, Store};
use wisp_testing::{MODEL, RealModel};

use crate::changed::{ON_OPENVINO, ON_ORT, configured, store_beside, with_manifest};
use crate::graphs::{self, Behaviour};

fn request(file: std::path::PathBuf, name: &str) -> ImportRequest {
    ImportRequest {
        file,
        name: name.to_owned(),
        license: "Apache-2.0".to_owned(),
        config: None,
        tokenizer: None,
        labels: None,
        max_tokens: 64,
        pooling: Pooling::Mean,
        normalized: true,
        texts: Vec::new(),
    }
}

fn proof(store: &Store, name: &str, placement: Placement) -> Result<Proof, String> {
    let model = store.open(name).expect("was imported");
    let mut proven = prove_model(&model, placement, Precision::F32, store, &NoProgress)?;
    proven.remove(0).1
}

#[test]
fn batches_are_proven_for_a_model_that_allows_them_and_refused_for_those_that_do_not() {
    let test = "batches_are_proven_for_a_model_that_allows_them_and_refused_for_those_that_do_not";
    let Some(real) = RealModel::get(test) else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    for (name, behaviour, rows, padding) in [
        ("good", Behaviour::Good, true, true),
        ("attends", Behaviour::AttendsOverTheBatch, false, false),
        ("leaks", Behaviour::IgnoresTheMask, true, false),
        ("quantises", Behaviour::QuantisesPerTensor, false, false),
    ] {
        let file = graphs::write(folder.path(), behaviour);
        import(&request(file, name), &store, &NoProgress).unwrap_or_else(|error| panic!("{name}: {error}"));
        for placement in [ON_OPENVINO, ON_ORT] {
            let batching = match proof(&store, name, placement) {
                Ok(proof) => proof.batching,
                // Two libraries quantise differently: what one answers is not golden for the other.
                Err(error) if behaviour == Behaviour::QuantisesPerTensor && placement == ON_ORT => {
                    assert!(error.starts_with("golden vectors: "), "{error}");
                    continue;
                }
                Err(error) => panic!("{name} on {placement}: {error}"),
            };
            assert_eq!(batching.rows.is_proven(), rows, "{name} on {placement}: rows {}", batching.rows);
            assert_eq!(batching.padding.is_proven(), padding, "{name} on {placement}: padding {}", batching.padding);
            if let Verdict::Refused { reason } = batching.rows {
                assert!(reason.contains("output `out` changes when the row is"), "{reason}");
            }
        }
    }
}

#[test]
fn what_cannot_be_imported_leaves_nothing_behind() {
    let Some(real) = RealModel::get("what_cannot_be_imported_leaves_nothing_behind") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    for (name, behaviour, message) in
        [("nobody", Behaviour::UnknownOperator, "Frobnicate"), ("nan", Behaviour::NotANumber, "NaN")]
    {
        let file = graphs::write(folder.path(), behaviour);
        let error = import(&request(file, name), &store, &NoProgress).expect_err(name).to_string();
        assert!(error.contains(message), "{name}: {error}");
    }
    let text = folder.path().join("model.onnx");
    std::fs::write(&text, "not a graph").expect("written");
    assert!(matches!(import(&request(text, "text"), &store, &NoProgress), Err(ImportError::NoBackend(_))));
    let strange = folder.path().join("model.bin");
    std::fs::write(&strange, "x").expect("written");
    assert!(matches!(import(&request(strange, "strange"), &store, &NoProgress), Err(ImportError::Format(_))));
    for name in ["../evil", "Bad Name", "", ".hidden", MODEL] {
        let file = graphs::write(folder.path(), Behaviour::Good);
        let error = import(&request(file, name), &store, &NoProgress).expect_err(name);
        assert!(matches!(error, ImportError::Name(_)), "{name}: {error}");
    }
    let left: Vec<_> = std::fs::read_dir(store.home().imported()).expect("was made").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_name_is_taken_once() {
    let Some(real) = RealModel::get("a_name_is_taken_once") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let file = graphs::write(folder.path(), Behaviour::Good);
    import(&request(file.clone(), "twice"), &store, &NoProgress).expect("the first");
    let error = import(&request(file, "twice"), &store, &NoProgress).expect_err("the second");
    assert!(matches!(error, ImportError::Exists { .. }), "{error}");
}

#[test]
fn golden_answers_that_are_not_the_models_are_refused() {
    let Some(real) = RealModel::get("golden_answers_that_are_not_the_models_are_refused") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let file = graphs::write(folder.path(), Behaviour::Good);
    let imported = import(&request(file, "moved"), &store, &NoProgress).expect("imports");
    let output = imported.folder.join("golden/output-0.npy");
    let mut bytes = std::fs::read(&output).expect("was written");
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&9.0_f32.to_le_bytes());
    std::fs::write(&output, bytes).expect("written");
    let refused = proof(&store, "moved", ON_ORT).expect_err("another answer");
    assert!(refused.starts_with("golden vectors: case 3 has cosine"), "{refused}");
}

/// Says of every speed that is kept how much its runs differed and how often it was measured again, whatever they did here:
/// tests run beside each other.
fn pretend_spread(store: &Store, spread: f64, repeats: u32) {
    for entry in std::fs::read_dir(store.home().proofs()).expect("was made").flatten() {
        let text = std::fs::read(entry.path()).expect("readable");
        let mut record: serde_json::Value = serde_json::from_slice(&text).expect("is JSON");
        if let Some(speed) = record.pointer_mut("/outcome/proven/speed").filter(|speed| speed.is_object()) {
            (speed["spread"], speed["repeats"]) = (spread.into(), repeats.into());
        }
        std::fs::write(entry.path(), record.to_string()).expect("written");
    }
}

/// How often each speed that is kept was measured again.
fn repeats(store: &Store) -> Vec<u32> {
    let proven = wisp_engine::proofs(store).into_iter().filter_map(|record| match record.outcome {
        Outcome::Proven(proof) => proof.speed.map(|speed| speed.repeats),
        Outcome::Refused { .. } => None,
    });
    proven.collect()
}

#[test]
fn a_speed_that_was_disturbed_is_measured_again_but_not_for_ever() {
    let Some(real) = RealModel::get("a_speed_that_was_disturbed_is_measured_again_but_not_for_ever") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let source = with_manifest(&real, folder.path(), |text| text);
    let start = || {
        let config = configured(&source, ON_ORT, PrecisionChoice::Exactly(Precision::F32));
        Engine::start(config, &store, &NoProgress).unwrap_or_else(|error| panic!("{error}"))
    };
    // A figure that was kept as JSON may differ in its last bit.
    let worst = |engine: Engine| engine.models()[0].proof.golden.map(|golden| (golden.cases, golden.worst_case));
    let golden = worst(start());
    assert_eq!(repeats(&store), [0], "what was just measured is not measured again at once");
    pretend_spread(&store, 9.0, 0);
    assert_eq!(worst(start()), golden, "what was proven is not proven again");
    assert_eq!(repeats(&store), [1]);
    pretend_spread(&store, 9.0, 3);
    start();
    assert_eq!(repeats(&store), [3], "three times are enough");
}

#[test]
fn a_proof_is_made_once_and_kept() {
    let Some(real) = RealModel::get("a_proof_is_made_once_and_kept") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = store_beside(&real, folder.path());
    let source = with_manifest(&real, folder.path(), |text| text);
    let config = || configured(&source, ON_OPENVINO, PrecisionChoice::Auto);
    let first = Engine::start(config(), &store, &NoProgress).unwrap_or_else(|error| panic!("{error}"));
    let kept = wisp_engine::proofs(&store);
    assert!(kept.len() >= 2, "f32 and int8 at least: {kept:?}");
    assert!(kept.iter().any(|record| matches!(record.outcome, Outcome::Proven(_))));
    pretend_spread(&store, 0.0, 0);
    let [second, third] =
        [(); 2].map(|()| Engine::start(config(), &store, &NoProgress).unwrap_or_else(|error| panic!("{error}")));
    // Speeds are measured; were the proof made again, they would not agree to a billionth.
    let nanoseconds = |engine: &Engine| {
        let speed = engine.models()[0].proof.speed.expect("was measured");
        [speed.single_us, speed.batch_us].map(|figure| (figure * 1e3).round())
    };
    assert_eq!(nanoseconds(&first), nanoseconds(&second));
    assert_eq!(second.models()[0].reason, third.models()[0].reason);
}

#[test]
fn the_bird_is_a_mandarin_duck() {
    let Some(real) = RealModel::get("the_bird_is_a_mandarin_duck") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1").display().to_string();
    let model = real.store.open(&folder).expect("is in the source tree");
    let mut proven = prove_model(&model, ON_OPENVINO, Precision::F32, &real.store, &NoProgress).expect("runs");
    let proof = proven.remove(0).1.unwrap_or_else(|error| panic!("{error}"));
    assert!(!proof.batching.rows.is_proven(), "its batch axis is fixed");
    let golden = model.golden_tensors().expect("readable").expect("has one");
    let scores = golden.outputs[0].tensor.view::<u8>().expect("u8");
    let best = scores.iter().enumerate().max_by_key(|(_, score)| **score).map(|(index, _)| index);
    let labels = real.store.ensure_companions(&model, &NoProgress).expect("in the folder").labels;
    let labels = model.labels(labels.as_deref()).expect("readable");
    assert_eq!(best.map(|index| labels[index].as_str()), Some("Aix galericulata"));
}

#[test]
fn models_of_one_digest_placement_and_precision_share_a_session() {
    let test = "models_of_one_digest_placement_and_precision_share_a_session";
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = crate::support::config(test, BackendId::Candle) else { return };
    let twin = config.models[MODEL].clone();
    config.models.insert("twin".to_owned(), twin.clone());
    config.models.insert("other".to_owned(), wisp_engine::ModelConfig { placement: vec![ON_ORT], ..twin });
    let portable = config.deployments.get_mut("portable").expect("was added");
    portable.models = [("encoder".to_owned(), "twin".into()), ("second".to_owned(), "other".into())].into();
    let engine = crate::support::start(config, &real);
    let granted = |deployment: &str, alias: &str| {
        let (_, _, grants) = engine.guest(deployment).expect("is configured");
        std::sync::Arc::clone(&grants.get(alias).expect("is granted").model)
    };
    let first = granted("embedder", "encoder");
    assert!(std::sync::Arc::ptr_eq(&first, &granted("portable", "encoder")));
    assert!(!std::sync::Arc::ptr_eq(&first, &granted("portable", "second")));
}

#[test]
fn models_share_the_memory_of_a_device_and_the_one_that_does_not_fit_says_so() {
    let test = "models_share_the_memory_of_a_device_and_the_one_that_does_not_fit_says_so";
    let Some(real) = RealModel::get(test) else { return };
    let mut config = Config::default();
    let first = config.models.get_mut(MODEL).expect("the default model");
    first.placement = vec![Placement { backend: BackendId::Candle, device: Device::Cpu }];
    // Whatever is fastest here: what shares the memory is 91 MB twice.
    first.precision = PrecisionChoice::Exactly(Precision::F32);
    let second = wisp_engine::ModelConfig { placement: vec![ON_ORT], ..first.clone() };
    config.models.insert("second".to_owned(), second);
    let start = |memory_bytes| {
        let mut config = config.clone();
        config.devices.insert(Device::Cpu, wisp_engine::DeviceConfig { memory_bytes });
        Engine::start(config, &real.store, &NoProgress).map(|engine| engine.models().len())
    };
    assert_eq!(start(200 << 20).unwrap_or_else(|error| panic!("{error}")), 2);
    let error = start(150 << 20).expect_err("91 MB twice").to_string();
    assert!(error.contains("model `second` runs on none of its placements"), "{error}");
    assert!(
        error.contains("device `cpu` has 66418") && error.contains("raise memory_bytes under [devices.\"cpu\"]"),
        "{error}"
    );
}
