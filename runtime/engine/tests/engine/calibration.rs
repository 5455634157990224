//! Calibration on the real model: the ranges in the repository are those of the texts beside them.

use std::path::{Path, PathBuf};

use wisp_engine::{CalibrationError, calibrate};
use wisp_model_export::calibration::Ranges;
use wisp_model_export::calibration::observe::DEFAULT_OUTLIERS;
use wisp_model_store::NoProgress;
use wisp_testing::{MODEL, RealModel};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name)
}

#[test]
fn the_texts_in_the_repository_give_the_ranges_in_the_repository() {
    let Some(real) = RealModel::get("the_texts_in_the_repository_give_the_ranges_in_the_repository") else { return };
    let folder = folder(MODEL).join("calibration");
    let texts = std::fs::read_to_string(folder.join("sentences.txt")).expect("in the source tree");
    let texts: Vec<String> = texts.lines().map(str::to_owned).collect();
    let golden = texts.iter().find(|text| real.golden.texts.contains(text));
    assert_eq!(golden, None, "what a form is made with proves nothing about it");

    let found = calibrate(&real.model, &texts, DEFAULT_OUTLIERS, &real.store, &NoProgress).expect("runs");
    let path = folder.join("ranges.json");
    let kept = Ranges::parse(&std::fs::read(&path).expect("in the source tree"), &path).expect("well formed");
    assert_eq!((found.texts, found.tokens, found.activations.len()), (kept.texts, kept.tokens, 24));
    for (name, kept) in &kept.activations {
        let found = found.activations.get(name).unwrap_or_else(|| panic!("{name}"));
        for (found, kept) in [(found.minimum, kept.minimum), (found.maximum, kept.maximum)] {
            // Libraries and processors round differently; a different text or model differs by much more.
            assert!((found - kept).abs() <= 1e-3 * kept.abs(), "{name}: {found} and {kept}");
        }
        let shared = found.outliers.iter().filter(|channel| kept.outliers.contains(channel)).count();
        assert!(shared + 1 >= DEFAULT_OUTLIERS, "{name}: {:?} and {:?}", found.outliers, kept.outliers);
    }
}

#[test]
fn a_model_that_is_no_encoder_of_texts_is_not_calibrated() {
    let Some(real) = RealModel::get("a_model_that_is_no_encoder_of_texts_is_not_calibrated") else { return };
    let birds = real.store.open(&folder("birds-v1").display().to_string()).expect("in the source tree");
    let error = calibrate(&birds, &["a wren".to_owned()], 1, &real.store, &NoProgress).expect_err("has no weights");
    assert!(matches!(error, CalibrationError::Unfit { what: "safetensors", .. }), "{error}");
}
