//! A Linux container beside the module: it has its own environment and nothing of the host's.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Check, Outcome, holds};
use crate::containerd::SECRET;
use crate::embedder::{Embedder, wait_until_serving};
use crate::images::SIDECAR;
use crate::node::Node;
use crate::pod::{ContainerSpec, Pod};

pub(super) const CHECK: Check =
    Check { name: "a Linux sidecar has its own environment", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let embedder = Embedder::new(node)?.with(|spec| spec.variable("OF", "the module"));
    let (annotations, spec) = embedder.for_node(node)?;
    let pod = Pod::run(node, "two", &annotations, node.subject.handler()).await?;
    let module = pod.start(&spec).await?;
    let sidecar = ContainerSpec::new("sidecar", SIDECAR).arguments(&["environment"]).variable("COLOUR", "blue");
    let sidecar = pod.start(&sidecar).await?;
    sidecar.wait_for_text("end of environment", Duration::from_secs(20)).await?;

    let text = sidecar.text();
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    ensure!(text.contains("COLOUR=blue"), "its own variable is missing: {text}");
    ensure!(!text.contains(SECRET), "it sees containerd's environment: {text}");
    // runc adds HOME, as the runtime specification allows.
    names.retain(|name| *name != "HOME");
    ensure!(names == ["COLOUR", "HOSTNAME", "PATH"], "its variables are {names:?}");
    wait_until_serving(&module, embedder.port).await?;
    holds(format!("exactly {}, while the module serves", names.join(", ")))
}
