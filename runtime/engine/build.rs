//! Puts the guest that `cargo xtask guests` built where `builtin.rs` includes it from.
//!
//! A missing guest is no build failure: checks and documentation need none, and the binary says what it lacks.

use std::path::{Path, PathBuf};

const GUESTS: [&str; 3] = ["embedder", "image-classifier", "zero-shot"];

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).expect("cargo sets the manifest folder");
    let output = std::env::var_os("OUT_DIR").map(PathBuf::from).expect("cargo sets the output folder");
    let folder =
        std::env::var_os("WISP_GUESTS_DIR").map_or_else(|| manifest.join("../../target/guests"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=WISP_GUESTS_DIR");

    let mut table = String::from("[\n");
    for name in GUESTS {
        let source = folder.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", source.display());
        if let Some(line) = embed(name, &source, &output) {
            table.push_str(&line);
        }
    }
    table.push(']');
    std::fs::write(output.join("guests.rs"), table).expect("cargo's output folder is writable");
}

/// Copies a guest into the output folder, and returns its row in the table of built-in guests.
fn embed(name: &str, source: &Path, output: &Path) -> Option<String> {
    let target = output.join(format!("{name}.wasm"));
    match std::fs::copy(source, &target) {
        Ok(_) => Some(format!("    ({name:?}, include_bytes!({:?}) as &[u8]),\n", target.display().to_string())),
        Err(_) => {
            println!("cargo::warning=guest `{name}` is not built in: run `cargo xtask guests` and build again");
            None
        }
    }
}
