//! How long each step of a pod takes, from sandbox to first embedding, and how much memory it needs.

use std::time::Duration;

use anyhow::Result;

use super::{Check, Outcome, holds};
use crate::embedder::{Embedder, Server};
use crate::node::Node;
use crate::process::Process;
use crate::report::Figure;

/// Pods that are measured, one after the other.
const PODS: usize = 6;

/// A step's name, and how long it took.
type Step = (&'static str, fn(&Server) -> Duration);

pub(super) const CHECK: Check =
    Check { name: "pods start one after the other, and are measured", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let mut servers = Vec::new();
    let mut memory = Vec::new();
    let mut shims = Vec::new();
    for _ in 0..PODS {
        let server = Embedder::with_implied_deployment(node)?.serve(node).await?;
        let (used_bytes, _) = node.cri.usage(&server.container.id).await?;
        memory.push(used_bytes);
        shims.push(shim_bytes(&server));
        server.pod.remove().await?;
        servers.push(server);
    }
    let steps: [Step; 5] = [
        ("RunPodSandbox", |server| server.pod.took),
        ("CreateContainer", |server| server.container.created_in),
        ("StartContainer", |server| server.container.started_in),
        ("started to SERVING", |server| server.serving_in),
        ("first embedding", |server| server.first_in),
    ];
    for (step, time) in steps {
        node.figures.push(Figure::of_times(step, servers.iter().map(time)));
    }
    let whole = servers.iter().map(|server| steps.iter().map(|(_, time)| time(server)).sum::<Duration>());
    node.figures.push(Figure::of_times("all of it", whole));
    node.figures.push(Figure::of_bytes("memory of a pod, working set", memory));
    node.figures.push(Figure::of_bytes("memory of its shim, its share", shims));
    holds(format!("{PODS} pods; figures below"))
}

/// The share of the processes that serve the pod on the host: they name it in their command line.
fn shim_bytes(server: &Server) -> u64 {
    let shims = Process::all().into_iter().filter(|process| process.command_line().contains(&server.pod.id));
    shims.filter_map(|process| process.share_bytes().ok()).sum()
}
