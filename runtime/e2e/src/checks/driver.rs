//! A GPU whose driver is there and does not work: CDI mounts a `libcuda.so.1` whose `cuInit` fails, and the pod says where it
//! lies and what it answered. No accelerator is needed for that.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::bad_pods::refused;
use super::{Check, Outcome, skipped};
use crate::embedder::Embedder;
use crate::node::Node;

pub(super) const BROKEN: Check =
    Check { name: "a GPU whose driver fails is named with path and code", run: |node| Box::pin(broken(node)) };

/// Name of the device.
const DEVICE: &str = "wisp.test/broken-gpu=0";
/// Where the driver is mounted: the image has no such folder, and no cache of the loader.
const LIBRARY: &str = "/usr/lib64/libcuda.so.1";
/// What `cuInit` answers, `CUDA_ERROR_UNKNOWN` in `cuda.h`.
const SOURCE: &str = "int cuInit(unsigned flags) { return 999; }\n";

async fn broken(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return skipped("containerd 1.6 has no CDI");
    }
    write_specification(node).await?;
    let embedder = Embedder::new(node)?
        .setting("models.all-minilm-l6-v2.placement", "[\"ort:gpu:0\"]")
        .with(|spec| spec.cdi_device(DEVICE));
    refused(node, embedder, &["/usr/lib64/libcuda.so.1: cuInit failed with error 999"]).await
}

async fn write_specification(node: &Node) -> Result<()> {
    let paths = &node.containerd.paths;
    let (source, library) = (paths.folder.join("libcuda.c"), paths.folder.join("libcuda.so.1"));
    std::fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
    let mut compiler = tokio::process::Command::new("cc");
    let compiled = compiler.args(["-shared", "-nostdlib", "-o"]).arg(&library).arg(&source).status().await;
    ensure!(compiled.context("cannot start `cc`")?.success(), "{} cannot be compiled", source.display());
    let specification = json!({
        "cdiVersion": "0.6.0",
        "kind": "wisp.test/broken-gpu",
        "devices": [{ "name": "0", "containerEdits": {
            "deviceNodes": [{ "path": "/dev/nvidia0", "hostPath": "/dev/null", "type": "c", "major": 1, "minor": 3, "permissions": "rw" }],
            "mounts": [{ "hostPath": library, "containerPath": LIBRARY, "options": ["ro", "nosuid", "nodev", "bind"] }],
        }}],
    });
    let file = paths.cdi.join("broken.json");
    std::fs::write(&file, specification.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
