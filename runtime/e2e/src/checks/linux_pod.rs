//! A Linux container under runc: the node itself works.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Check, Outcome, holds};
use crate::images::SIDECAR;
use crate::node::Node;
use crate::pod::{ContainerSpec, Pod};

pub(super) const CHECK: Check = Check { name: "runc runs a Linux pod", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let pod = Pod::run(node, "linux", &[], "runc").await?;
    let spec = ContainerSpec::new("linux", SIDECAR).arguments(&["environment"]).variable("COLOUR", "green");
    let container = pod.start(&spec).await?;
    container.wait_for_text("COLOUR=green", Duration::from_secs(10)).await?;

    let failing = pod.start(&ContainerSpec::new("failing", SIDECAR).arguments(&["exit", "7"])).await?;
    let status = failing.wait_for_end(Duration::from_secs(10)).await?;
    ensure!(status.exit_code == 7, "exit code {} in place of 7", status.exit_code);
    pod.remove().await?;
    holds(format!("sandbox {} ms, environment, log, exit code", pod.took.as_millis()))
}
