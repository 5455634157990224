//! Ten pods at once: each serves.

use anyhow::{Context, Result};

use super::{Check, Outcome, holds};
use crate::embedder::{Embedder, Server};
use crate::node::Node;

/// How many.
const PODS: usize = 10;

pub(super) const CHECK: Check = Check { name: "ten pods at once", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let here: &Node = node;
    let embedders: Result<Vec<Embedder>> = (0..PODS).map(|_| Embedder::new(here)).collect();
    let embedders = embedders?;
    let servers = join_all(embedders.iter().map(|embedder| embedder.serve(here))).await?;
    for (number, server) in servers.iter().enumerate() {
        server.some_golden(here).await.with_context(|| format!("pod {number} of {PODS}"))?;
    }
    let mut used_bytes = 0;
    for server in &servers {
        used_bytes += here.cri.usage(&server.container.id).await?.0;
    }
    holds(format!("all answer right; {} MiB in all", used_bytes >> 20))
}

/// Starts all and waits for each.
async fn join_all<'a>(
    starting: impl Iterator<Item = impl Future<Output = Result<Server>> + 'a>,
) -> Result<Vec<Server>> {
    let mut waiting: Vec<_> = starting.map(Box::pin).collect();
    let mut done: Vec<Option<Server>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(server) = future.as_mut().poll(context)
            {
                match server {
                    Ok(server) => *slot = Some(server),
                    Err(error) => return std::task::Poll::Ready(Err(error)),
                }
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(Ok(())) } else { std::task::Poll::Pending }
    })
    .await?;
    Ok(done.into_iter().flatten().collect())
}
