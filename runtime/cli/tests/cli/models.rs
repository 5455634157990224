//! `wisp models import | inspect | verify` from the shell.

use std::path::Path;

use crate::support;

fn run(home: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = support::wisp().args(arguments).env("WISP_HOME", home).output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_model_of_the_users_own_is_imported_proven_listed_and_embedded_with() {
    let test = "a_model_of_the_users_own_is_imported_proven_listed_and_embedded_with";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    if wisp_testing::guest(test, "embedder").is_none() {
        return;
    }
    let home = tempfile::tempdir().expect("temporary folder");
    std::os::unix::fs::symlink(real.store.home().libraries(), home.path().join("libraries")).expect("a link");
    let manifest = &real.model.manifest;
    let file = manifest.file("model.onnx").expect("is listed");
    let local = real.store.ensure(&real.model, file, &wisp_model_store::NoProgress).expect("files");
    let tokenizer = local.tokenizer.expect("has one").display().to_string();
    let model = local.file.display().to_string();

    let import = ["--offline", "models", "import", &model, "--name", "mine", "--tokenizer", &tokenizer];
    let (is_done, told, errors) = run(home.path(), &import);
    assert!(is_done, "{errors}");
    assert!(told.contains("12 golden answers, computed in f32 on openvino:cpu"), "{told}");
    assert!(told.contains("openvino:cpu (model.onnx): batches of rows proven"), "{told}");
    assert!(told.contains("ort:cpu (model.onnx): batches of rows proven"), "{told}");
    assert!(run(home.path(), &["models", "list"]).1.contains("mine"));

    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("wisp.toml");
    let text = "[models.mine]\n[deployments.embedder]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"mine\" }\n";
    std::fs::write(&config, text).expect("written");
    let embed = ["--offline", "embed", "--config", &config.display().to_string(), "a storm at sea", "an invoice"];
    let (is_done, told, errors) = run(home.path(), &embed);
    assert!(is_done, "{errors}");
    assert!(told.contains("384 dimensions, mine on openvino:cpu"), "{told}");
    let (_, told, _) = run(home.path(), &["models", "inspect", "mine"]);
    assert!(told.contains("12 golden") && told.contains("proven (error"), "{told}");

    let (is_done, _, errors) = run(home.path(), &import);
    assert!(!is_done && errors.contains("model `mine` exists"), "{errors}");
}

#[test]
fn verify_reads_every_file_and_says_what_every_placement_proves() {
    let test = "verify_reads_every_file_and_says_what_every_placement_proves";
    let Some(real) = wisp_testing::RealModel::get(test) else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1").display().to_string();
    let (is_done, told, errors) = run(real.store.home().root(), &["--offline", "models", "verify", &folder]);
    assert!(is_done, "{told}{errors}");
    assert!(told.contains("birds_v1.tflite: verified"), "{told}");
    assert!(told.contains("proven on 1 golden cases"), "{told}");
    assert!(told.contains("the manifest has no file for backend `ort`"), "{told}");
}
