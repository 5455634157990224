//! A limit of processor time: the quota is set, and the engine has no more threads than it can use.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Check, Outcome, holds};
use crate::embedder::{Embedder, Server};
use crate::node::Node;
use crate::process::Process;

pub(super) const CHECK: Check =
    Check { name: "the CPU limit holds and threads follow it", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let half = Embedder::new(node)?.with(|spec| spec.cpu_milli(500)).serve(node).await?;
    half.some_golden(node).await?;
    let few = threads(&half).await?;
    let process = Process::new(half.container.process().await?);
    let cgroup = process.cgroup("cpu")?;
    let quota = quota_milli(&cgroup)?;
    ensure!(quota == 500, "the quota is {quota} thousandths of a processor, 500 were asked for");
    let throttled = number(&read(&cgroup.join("cpu.stat"))?, "nr_throttled")?;
    ensure!(throttled > 0, "work for seconds was never throttled: {}", cgroup.display());

    let free = Embedder::new(node)?.serve(node).await?;
    free.some_golden(node).await?;
    let many = threads(&free).await?;
    let processors = std::thread::available_parallelism().context("the processors cannot be counted")?.get();
    if processors > 1 {
        ensure!(few < many, "{few} threads with half a processor, {many} without a limit on {processors}");
    }
    holds(format!("quota 500m, throttled {throttled} times; {few} threads, {many} without a limit"))
}

async fn threads(server: &Server) -> Result<u32> {
    let process = Process::new(server.container.process().await?);
    process.status("Threads")?.parse().context("Threads is no number")
}

/// Of `cpu.max` (version 2) or the two files of version 1.
fn quota_milli(cgroup: &Path) -> Result<u64> {
    let number = |text: &str| text.trim().parse::<u64>().with_context(|| format!("`{text}` is no number"));
    let (quota, period) = match std::fs::read_to_string(cgroup.join("cpu.max")) {
        Ok(text) => {
            let (quota, period) = text.trim().split_once(' ').context("cpu.max has two numbers")?;
            (number(quota)?, number(period)?)
        }
        Err(_) => {
            (number(&read(&cgroup.join("cpu.cfs_quota_us"))?)?, number(&read(&cgroup.join("cpu.cfs_period_us"))?)?)
        }
    };
    Ok(quota * 1000 / period.max(1))
}

fn number(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    value.trim().parse().with_context(|| format!("{name} is no number"))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
