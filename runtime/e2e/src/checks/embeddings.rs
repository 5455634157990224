//! A pod serves the real embedder on the real model.

use anyhow::{Result, ensure};

use super::{Check, Outcome, holds};
use crate::embedder::Embedder;
use crate::node::Node;

pub(super) const CHECK: Check =
    Check { name: "a pod serves embeddings that match the reference", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.serve(node).await?;
    let seen = server.golden(node).await?;
    let log = server.container.text();
    ensure!(log.contains("model loaded"), "the engine's log is not in the container's: {log}");
    ensure!(log.lines().any(|line| line.starts_with('{')), "the log is not JSON: {log}");
    holds(format!("{seen}; its log came through the CRI"))
}
