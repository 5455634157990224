//! Crashes of what runs pods: the shim is killed, containerd is killed and started again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Check, Outcome, holds};
use crate::cri::api::ContainerState;
use crate::embedder::{Embedder, is_serving};
use crate::node::Node;
use crate::process::Process;

pub(super) const CONTAINERD: Check =
    Check { name: "pods survive a crash of containerd", run: |node| Box::pin(containerd(node)) };
pub(super) const SHIM: Check =
    Check { name: "a killed shim's pod is found ended and can be removed", run: |node| Box::pin(shim(node)) };

async fn containerd(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.serve(node).await?;
    let before = server.container.process().await?;
    node.cri = node.containerd.crash_and_restart().await?;
    let status = node.cri.status(&server.container.id).await.context("the container is forgotten")?;
    ensure!(status.state() == ContainerState::ContainerRunning, "it is {:?} after the restart", status.state());
    ensure!(node.cri.process(&server.container.id).await? == before, "it has another process now");
    server.some_golden(node).await?;
    node.cri.stop(&server.container.id, Duration::from_secs(20)).await?;
    let status = node.cri.status(&server.container.id).await?;
    ensure!(status.exit_code == 0, "exit code {} after SIGTERM", status.exit_code);
    holds("same process, right answers, drains after the restart")
}

async fn shim(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.serve(node).await?;
    let container = Process::new(server.container.process().await?);
    let shims: Vec<Process> = Process::all()
        .into_iter()
        .filter(|process| process.id() != container.id() && process.command_line().contains(&server.pod.id))
        .collect();
    ensure!(!shims.is_empty(), "no process on the host names the pod {}", server.pod.id);
    for shim in &shims {
        let id = i32::try_from(shim.id()).ok().and_then(Pid::from_raw).context("a process has a positive id")?;
        // A child of the shim may end by itself with it.
        let _ = kill_process(id, Signal::KILL);
    }
    let status = server.container.wait_for_end(Duration::from_secs(30)).await.context("the shim was killed")?;
    server.pod.remove().await?;
    ensure!(!is_serving(server.port).await, "the engine still serves after its pod was removed");
    node.cri = node.containerd.crash_and_restart().await?;
    ensure!(node.cri.sandboxes().await?.is_empty(), "containerd remembers the removed pod after a restart");
    let again = Embedder::new(node)?.serve(node).await?;
    again.some_golden(node).await?;
    holds(format!("{} processes killed, exit code {}, removed, the next pod serves", shims.len(), status.exit_code))
}
