//! A limit of memory: it is set, the pod stays below it, and who exceeds one dies alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Check, Outcome, holds};
use crate::embedder::Embedder;
use crate::images::SIDECAR;
use crate::node::Node;
use crate::pod::{ContainerSpec, Pod};
use crate::process::Process;

pub(super) const LIMIT: Check = Check { name: "the memory limit holds", run: |node| Box::pin(limit(node)) };
pub(super) const OOM: Check = Check { name: "an OOM kills that pod alone", run: |node| Box::pin(oom(node)) };
pub(super) const NO_LIMIT: Check =
    Check { name: "a pod without a memory limit serves", run: |node| Box::pin(no_limit(node)) };

async fn limit(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.with(|spec| spec.memory_mib(768)).serve(node).await?;
    server.some_golden(node).await?;
    let cgroup = Process::new(server.container.process().await?).cgroup("memory")?;
    let set = std::fs::read_to_string(cgroup.join("memory.limit_in_bytes"))
        .or_else(|_| std::fs::read_to_string(cgroup.join("memory.max")))
        .with_context(|| format!("{} has no limit", cgroup.display()))?;
    ensure!(set.trim() == (768_u64 << 20).to_string(), "the limit is {set}");
    let (used_bytes, _) = node.cri.usage(&server.container.id).await?;
    holds(format!("768 MiB set, {} MiB used after the golden texts", used_bytes >> 20))
}

async fn oom(node: &mut Node) -> Result<Outcome> {
    let neighbour = Embedder::new(node)?.serve(node).await?;
    let pod = Pod::run(node, "greedy", &[], node.subject.handler()).await?;
    let greedy = ContainerSpec::new("greedy", SIDECAR).arguments(&["fill", "512"]).memory_mib(64);
    let greedy = pod.start(&greedy).await?;
    let status = greedy.wait_for_end(Duration::from_secs(60)).await?;
    ensure!(status.exit_code == 137, "exit code {} in place of 137 (SIGKILL)", status.exit_code);
    ensure!(status.reason == "OOMKilled", "the reason is `{}`, not OOMKilled", status.reason);
    neighbour.some_golden(node).await.context("the neighbour of the killed pod")?;
    holds("reason OOMKilled, exit code 137; the neighbour answers")
}

async fn no_limit(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.with(|spec| spec.memory_mib(0)).serve(node).await?;
    holds(server.some_golden(node).await?)
}
