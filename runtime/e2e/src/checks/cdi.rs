//! A device by its CDI name: node, environment, mount and hook reach the container. The device is a fake: `/dev/null` under
//! another name, so no accelerator is needed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Check, Outcome, holds, skipped};
use crate::embedder::Embedder;
use crate::images::SIDECAR;
use crate::node::Node;
use crate::pod::{ContainerSpec, Pod};
use crate::process::Process;

pub(super) const LINUX: Check =
    Check { name: "a CDI device reaches a Linux container", run: |node| Box::pin(linux(node)) };
pub(super) const MODULE: Check = Check { name: "a CDI device reaches a module", run: |node| Box::pin(module(node)) };

/// Name of the device.
const DEVICE: &str = "wisp.test/gpu=0";

async fn linux(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return skipped("containerd 1.6 has no CDI");
    }
    write_specification(node)?;
    let pod = Pod::run(node, "cdi", &[], node.subject.handler()).await?;
    let seen = ContainerSpec::new("reader", SIDECAR)
        .arguments(&["read", "/dev/fake-gpu", "/opt/fake-driver/libfake.so.1"])
        .cdi_device(DEVICE);
    let reader = pod.start(&seen).await?;
    let status = reader.wait_for_end(Duration::from_secs(20)).await?;
    ensure!(status.exit_code == 0, "device or mount cannot be read:\n{}", reader.text());
    ensure!(reader.text().contains("libfake.so.1: 10 bytes"), "the mount is another file:\n{}", reader.text());

    let shown = ContainerSpec::new("shown", SIDECAR).arguments(&["environment"]).cdi_device(DEVICE);
    let shown = pod.start(&shown).await?;
    shown.wait_for_text("FAKE_VISIBLE_DEVICES=0", Duration::from_secs(20)).await?;
    hook_has_run(node)?;
    holds("node, mount, environment and createContainer hook")
}

async fn module(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return skipped("containerd 1.6 has no CDI");
    }
    write_specification(node)?;
    let server = Embedder::new(node)?.with(|spec| spec.cdi_device(DEVICE)).serve(node).await?;
    let process = Process::new(server.container.process().await?);
    let environment = process.environment()?;
    ensure!(environment.get("FAKE_VISIBLE_DEVICES").is_some_and(|value| value == "0"), "{environment:?}");
    let root = std::path::PathBuf::from(format!("/proc/{}/root", process.id()));
    let library = std::fs::read(root.join("opt/fake-driver/libfake.so.1")).context("the mount is missing")?;
    ensure!(library == b"not a lib\n", "the mount is another file");
    let device = std::fs::metadata(root.join("dev/fake-gpu")).context("the device is missing")?;
    ensure!(std::os::unix::fs::FileTypeExt::is_char_device(&device.file_type()), "/dev/fake-gpu is no device");
    hook_has_run(node)?;
    let seen = server.some_golden(node).await?;
    holds(format!("node, mount, environment and hook; {seen}"))
}

/// A specification as vendors write them, see the Container Device Interface 0.6.
fn write_specification(node: &Node) -> Result<()> {
    let paths = &node.containerd.paths;
    let (library, mark) = (paths.folder.join("libfake.so.1"), mark(node));
    std::fs::write(&library, "not a lib\n").with_context(|| format!("cannot write {}", library.display()))?;
    let _ = std::fs::remove_file(&mark);
    let specification = json!({
        "cdiVersion": "0.6.0",
        "kind": "wisp.test/gpu",
        "devices": [{ "name": "0", "containerEdits": {
            "deviceNodes": [{ "path": "/dev/fake-gpu", "hostPath": "/dev/null", "type": "c", "major": 1, "minor": 3, "permissions": "rw" }],
            "env": ["FAKE_VISIBLE_DEVICES=0"],
            "mounts": [{
                "hostPath": library,
                "containerPath": "/opt/fake-driver/libfake.so.1",
                "options": ["ro", "nosuid", "nodev", "bind"],
            }],
            "hooks": [{
                "hookName": "createContainer",
                "path": "/bin/sh",
                "args": ["sh", "-c", format!("/bin/cat > {}", mark.display())],
            }],
        }}],
    });
    let file = paths.cdi.join("fake.json");
    std::fs::write(&file, specification.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// The hook writes down what it was told: the state of the container, as the runtime specification says.
fn hook_has_run(node: &Node) -> Result<()> {
    let mark = mark(node);
    let text = std::fs::read_to_string(&mark).context("the createContainer hook has not run")?;
    let state: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("the hook was told `{text}`"))?;
    ensure!(state["bundle"].is_string() && state["id"].is_string(), "the hook was told `{text}`");
    Ok(())
}

fn mark(node: &Node) -> std::path::PathBuf {
    node.containerd.paths.folder.join("hook-state.json")
}
