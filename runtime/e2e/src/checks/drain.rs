//! SIGTERM: what is under way is answered, and the pod ends well.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Check, Outcome, holds};
use crate::embedder::Embedder;
use crate::node::Node;

/// Time between SIGTERM and SIGKILL, as in Kubernetes.
const GRACE: Duration = Duration::from_secs(30);

pub(super) const CHECK: Check =
    Check { name: "SIGTERM drains: what is under way is answered, exit code 0", run: |node| Box::pin(run(node)) };

async fn run(node: &mut Node) -> Result<Outcome> {
    let server = Embedder::new(node)?.serve(node).await?;
    // Seconds of work, which on a busy machine must not become longer than the grace.
    let texts = node.golden.texts.clone();
    let count = texts.len();
    let request = server.embed(texts);
    let stop = async {
        // The request is on its way when its connection is made, and takes seconds.
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.container.stop(GRACE).await
    };
    let (answer, status) = tokio::join!(request, stop);
    let answer = answer.context("the request that was under way")?;
    let status = status?;
    ensure!(answer.embeddings.len() == count, "{} of {count} embeddings", answer.embeddings.len());
    ensure!(status.exit_code == 0, "exit code {} after SIGTERM: {}", status.exit_code, server.container.text());
    holds(format!("{count} texts answered during the drain, exit code 0"))
}
