//! Triton's own Python clients, unchanged.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use wisp_testing::{MODEL, RealModel};

use super::{GOLDEN, IDS, mask, start};

#[test]
fn tritons_clients_work_over_grpc_and_http() {
    let test = "tritons_clients_work_over_grpc_and_http";
    let Some(packages) = std::env::var_os("WISP_TRITON_CLIENT_PACKAGES").map(PathBuf::from) else {
        return wisp_testing::skip(test, "Triton's Python clients are not installed; run `cargo xtask test`");
    };
    let (Some(real), Some(server)) = (RealModel::get(test), start(test, &[])) else { return };
    let vectors: Vec<_> = GOLDEN.iter().map(|&index| real.golden.vector(index)).collect();
    let mask: Vec<_> = mask().chunks(IDS[0].len()).map(<[i64]>::to_vec).collect();
    let reference = json!({
        "model": MODEL,
        "texts": GOLDEN.map(|index| &real.golden.texts[index]),
        "ids": IDS,
        "mask": mask,
        "vectors": vectors,
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("reference.json");
    std::fs::write(&file, reference.to_string()).expect("writes");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/oip/triton.py");
    let output = Command::new(std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into()))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args([script.as_path(), file.as_path()])
        .args([&server.address, &server.http])
        .output()
        .expect("Python starts");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && told.contains("all checks passed"), "{told}");
    server.stop_cleanly();
}
