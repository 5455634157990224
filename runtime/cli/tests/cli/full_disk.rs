//! A cache folder on a disk that is full, and has room again later.

use std::process::{Command, Output};

use wisp_testing::{RealModel, cosine};

/// Has a cache folder on a disk of its own with the models of the real one, embeds while nothing can be kept, makes room, and embeds
/// again. Only this process and its children see the disk, which is gone with them.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs -o size=1m tmpfs "$WISP_HOME"
ln -s "$REAL/models" "$WISP_HOME/models"
ln -s "$REAL/libraries" "$WISP_HOME/libraries"
dd if=/dev/zero of="$WISP_HOME/fill" bs=4k 2> /dev/null || true
"$WISP" embed --offline --format json --backend "$BACKEND" --precision f32 "a full disk" > "$OUT/full.json" 2> "$OUT/full.log"
rm "$WISP_HOME/fill"
find "$WISP_HOME" -type f > "$OUT/left"
mount -o remount,size=600m "$WISP_HOME"
"$WISP" embed --offline --format json --backend "$BACKEND" --precision f32 "a full disk" > "$OUT/room.json" 2> "$OUT/room.log"
find "$WISP_HOME/proofs" "$WISP_HOME/aot" -type f > "$OUT/kept"
"#;

fn run(real: &RealModel, home: &std::path::Path, out: &std::path::Path, backend: &str) -> Output {
    Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", SCRIPT])
        .env("WISP", env!("CARGO_BIN_EXE_wisp"))
        .env("WISP_HOME", home)
        .env("REAL", real.store.home().root())
        .env("OUT", out)
        .env("BACKEND", backend)
        .env_remove("WISP_CONFIG")
        .output()
        .expect("unshare runs")
}

fn may_mount() -> bool {
    let probe = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).output();
    probe.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_costs_time_and_leaves_nothing_broken_behind() {
    let test = "a_full_disk_costs_time_and_leaves_nothing_broken_behind";
    let Some(real) = RealModel::get(test) else { return };
    if !may_mount() {
        return wisp_testing::lacks(test, "right to mount a disk of its own (user namespaces)");
    }
    for backend in ["openvino", "ort"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, out) = (folder.path().join("home"), folder.path().join("out"));
        [&home, &out].into_iter().for_each(|folder| std::fs::create_dir(folder).expect("a folder"));
        let output = run(&real, &home, &out, backend);
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
        assert!(
            output.status.success(),
            "{backend}: {}\n{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            read("full.log"),
            read("room.log")
        );
        let log = read("full.log");
        for message in ["the result of a proof cannot be kept", "compiled code cannot be kept"] {
            assert!(log.contains(message), "{backend}: {log}");
        }
        assert_eq!(read("left"), "", "{backend}: nothing is left half written");
        let kept = read("kept");
        assert!(kept.contains("/proofs/") && kept.contains("/aot/"), "{backend}: {kept}");
        let [full, room] = ["full.json", "room.json"].map(|name| vector(&read(name)));
        assert!(cosine(&full, &room) > 0.99999, "{backend}");
    }
}

fn vector(line: &str) -> Vec<f32> {
    let json: serde_json::Value = serde_json::from_str(line).expect("one JSON object");
    let values = json["embeddings"][0]["values"].as_array().expect("a vector");
    values.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}
