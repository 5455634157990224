//! Dependencies only go down, and the heavy ones stay where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// For each crate the crates of ours that it may build on. A crate that is not here has no place in the design yet.
const LAYERS: &[(&str, &[&str])] = &[
    ("wisp-core", &[]),
    ("wisp-backends", &["wisp-core"]),
    ("wisp-scheduler", &["wisp-core"]),
    ("wisp-model-export", &[]),
    ("wisp-model-store", &["wisp-core", "wisp-model-export"]),
    ("wisp-registry", &["wisp-core", "wisp-model-store"]),
    ("wisp-host", &["wisp-core", "wisp-scheduler"]),
    ("wisp-nn-adapter", &["wisp-core", "wisp-scheduler"]),
    ("wisp-node", &[]),
    (
        "wisp-engine",
        &["wisp-core", "wisp-backends", "wisp-host", "wisp-model-export", "wisp-model-store", "wisp-scheduler"],
    ),
    ("wisp-proto", &[]),
    ("wisp-server", &["wisp-core", "wisp-engine", "wisp-proto"]),
    ("wisp-bench", &["wisp-core", "wisp-engine", "wisp-host", "wisp-model-store", "wisp-proto", "wisp-scheduler"]),
    (
        "wisp-cli",
        &[
            "wisp-bench",
            "wisp-core",
            "wisp-engine",
            "wisp-model-export",
            "wisp-model-store",
            "wisp-node",
            "wisp-registry",
            "wisp-server",
        ],
    ),
    ("wisp-shim", &[]),
    ("wisp-testing", &["wisp-model-store"]),
    ("wisp-example-client", &["wisp-proto"]),
    ("wisp-benches", &[]),
    ("xtask", &["wisp-core", "wisp-model-store", "wisp-testing"]),
    ("wisp-e2e", &["wisp-core", "wisp-model-store", "wisp-proto"]),
];

/// What tests and benchmarks may use beside that.
const TEST_LAYERS: &[(&str, &[&str])] = &[
    ("wisp-backends", &["wisp-model-store", "wisp-testing"]),
    ("wisp-registry", &["wisp-testing"]),
    // Its guests run on our own host as well, to be compared.
    ("wisp-nn-adapter", &["wisp-backends", "wisp-engine", "wisp-model-store", "wisp-testing"]),
    ("wisp-host", &["wisp-testing"]),
    ("wisp-engine", &["wisp-testing"]),
    ("wisp-server", &["wisp-testing"]),
    ("wisp-bench", &["wisp-testing"]),
    ("wisp-cli", &["wisp-proto", "wisp-testing"]),
    ("wisp-example-client", &["wisp-testing"]),
    ("wisp-benches", &["wisp-bench", "wisp-core", "wisp-engine", "wisp-host", "wisp-model-store", "wisp-scheduler"]),
];

/// Libraries that only some crates may name, by prefix, so that each can be exchanged in one place. The first that fits counts.
const CONFINED: &[(&str, &[&str])] = &[
    // Its traits are what the adapter implements, and hosts that use them have a Wasmtime of their own.
    ("wasmtime-wasi-nn", &["wisp-nn-adapter"]),
    ("wasmtime", &["wisp-host"]),
    ("ort", &["wisp-backends"]),
    ("oci-client", &["wisp-registry"]),
    ("candle", &["wisp-backends"]),
    ("openvino", &["wisp-backends"]),
    // The engine tells observers; only the service makes spans of it.
    ("opentelemetry", &["wisp-server"]),
    // The shim asks containerd for the layers of artifacts.
    ("tonic", &["wisp-proto", "wisp-server", "wisp-bench", "wisp-cli", "wisp-shim", "wisp-e2e", "wisp-example-client"]),
    // ONNX files are protocol buffers.
    (
        "prost",
        &[
            "wisp-proto",
            "wisp-server",
            "wisp-bench",
            "wisp-cli",
            "wisp-shim",
            "wisp-e2e",
            "wisp-model-export",
            "wisp-example-client",
        ],
    ),
];

/// What tests may name beside that.
const CONFINED_IN_TESTS: &[(&str, &[&str])] = &[
    // A host such as others write it, which the adapter is tried out in.
    ("wasmtime", &["wisp-nn-adapter"]),
    // A collector that takes what the program sends.
    ("opentelemetry", &["wisp-cli"]),
];

/// Crates that call native code or map memory, and so may hold `unsafe` blocks.
const MAY_BE_UNSAFE: &[&str] = &["wisp-backends", "wisp-host"];

#[test]
fn crates_build_only_on_the_layers_below_them() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(allowed) = row(LAYERS, name) else {
            wrong.push(format!("`{name}` has no place among the layers; give it one here"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str())) {
            let below = dependency.name.as_str();
            let is_for_tests = dependency.kind == DependencyKind::Development;
            let is_allowed = allowed.contains(&below)
                || is_for_tests && row(TEST_LAYERS, name).is_some_and(|allowed| allowed.contains(&below));
            if !is_allowed {
                wrong.push(format!("`{name}` must not build on `{below}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_layers_have_no_cycle() {
    let mut rank: BTreeMap<&str, usize> = BTreeMap::new();
    while rank.len() < LAYERS.len() {
        let next = LAYERS
            .iter()
            .find(|(name, below)| !rank.contains_key(name) && below.iter().all(|below| rank.contains_key(below)));
        let (name, _) = next.expect("some crate builds only on crates that are ranked already");
        rank.insert(name, rank.len());
    }
}

#[test]
fn heavy_libraries_stay_in_their_crates() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let Some(crates) = confined(CONFINED, name) else { continue };
            let in_tests = match dependency.kind {
                DependencyKind::Development => confined(CONFINED_IN_TESTS, name).unwrap_or_default(),
                _ => &[],
            };
            let package = package.name.as_str();
            if !crates.contains(&package) && !in_tests.contains(&package) {
                wrong.push(format!("`{package}` must not depend on `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_backends_and_host_may_hold_unsafe_code() {
    let metadata = metadata();
    let mut checked = 0;
    for package in metadata.workspace_packages() {
        if MAY_BE_UNSAFE.contains(&package.name.as_str()) {
            continue;
        }
        for source in roots(package) {
            let text = std::fs::read_to_string(source).expect("cargo found this file");
            assert!(text.contains("#![forbid(unsafe_code)]"), "{} lacks #![forbid(unsafe_code)]", source.display());
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} crates were checked");
}

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace that this test belongs to")
}

/// The libraries and programs of a package; tests, benches and build scripts are not shipped.
fn roots(package: &Package) -> impl Iterator<Item = &Path> {
    let shipped = package.targets.iter().filter(|target| target.is_lib() || target.is_bin());
    shipped.map(|target| target.src_path.as_std_path())
}

/// The crates that may name a library, if it is confined.
fn confined<'a>(table: &'a [(&str, &'a [&'a str])], library: &str) -> Option<&'a [&'a str]> {
    // A prefix counts at a word's end: `ort` and `ort-sys`, but not a crate that merely begins alike.
    let begins =
        |prefix: &str| library.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']));
    table.iter().find(|(prefix, _)| begins(prefix)).map(|(_, crates)| *crates)
}

fn row<'a>(table: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, crates)| *crates)
}
