//! What tests of several crates share: the real model, the built guests, and honest skips.
//!
//! A test that lacks something calls [`skip`] and returns. `cargo xtask test` collects these reasons and prints them at
//! its end; with `WISP_TEST_REQUIRE=1` a skip is a failure instead.

#![forbid(unsafe_code)]

mod browser;
mod python;
mod registry;
mod tools;

use std::io::Write;
use std::path::{Path, PathBuf};

use wisp_model_store::{Access, GoldenVectors, Home, Model, NoProgress, ONNX_RUNTIME, OPENVINO, Store};

pub use browser::Browser;
pub use python::{GRPC, KUBERNETES, OPENAI, PYTHON_PACKAGES, PythonPackages, SCHEMATHESIS, python};
pub use registry::{Protection, RegistryServer};
pub use tools::{GO_TOOLS, GoTool, HELM, ORAS, REGISTRY};

/// Name of the model that the tests run on.
pub const MODEL: &str = "all-minilm-l6-v2";

/// How a reason begins that no installation can mend; `cargo xtask test` knows it by these words.
const HARDWARE: &str = "this machine has no ";

/// Notes that `test` cannot run here, and why.
///
/// # Panics
/// When `WISP_TEST_REQUIRE` says that everything must run.
pub fn skip(test: &str, reason: &str) {
    let is_required = std::env::var("WISP_TEST_REQUIRE").is_ok_and(|value| value == "1");
    assert!(!is_required, "{test} must run here and cannot: {reason}");
    note(test, reason);
}

/// Notes that this machine lacks the hardware that `test` is about. Never a failure: nothing that can be installed helps.
///
/// # Panics
/// When the list of skips cannot be written.
pub fn lacks(test: &str, hardware: &str) {
    note(test, &format!("{HARDWARE}{hardware}"));
}

fn note(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("WISP_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{test}: {reason}")).expect("the list of skips can be written");
    }
}

/// The real model in the cache of this user, fetched when it is missing.
pub struct RealModel {
    /// The store that holds it.
    pub store: Store,
    /// Its manifest.
    pub model: Model,
    /// Its golden vectors.
    pub golden: GoldenVectors,
}

impl RealModel {
    /// The model, or a skip of `test` when it cannot be had.
    #[must_use]
    pub fn get(test: &str) -> Option<Self> {
        Self::fetch().map_err(|reason| skip(test, &reason)).ok()
    }

    fn fetch() -> Result<Self, String> {
        let home = Home::from_env().map_err(|error| error.to_string())?;
        let store = Store::new(home, Access::Online);
        let model = store.open(MODEL).map_err(|error| error.to_string())?;
        let golden = model.golden().map_err(|error| error.to_string())?;
        let golden = golden.ok_or_else(|| format!("model `{MODEL}` has no golden vectors"))?;
        for library in [&OPENVINO, &ONNX_RUNTIME] {
            store.ensure_library(library, &NoProgress).map_err(|error| error.to_string())?;
        }
        Ok(Self { store, model, golden })
    }
}

/// The module of a guest that `cargo xtask guests` built, or a skip of `test`.
#[must_use]
pub fn guest(test: &str, name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WISP_GUESTS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests"), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    if !path.is_file() {
        skip(test, &format!("guest `{name}` is not built; run `cargo xtask guests`"));
        return None;
    }
    Some(path)
}

/// Cosine of two vectors.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}
