//! How a pod that cannot work ends: with an error of the CRI or an exit code, and in either case with a reason.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cri::api::ContainerStatus;
use crate::node::Node;
use crate::pod::{ContainerSpec, Pod};

/// Longest time until a container that cannot work has ended.
const END_LIMIT: Duration = Duration::from_secs(90);

/// Where and with which words it ended.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// `CreateContainer`, `StartContainer` or `exit code 1`.
    pub(crate) stage: String,
    /// The event or the log.
    pub(crate) text: String,
}

impl Refusal {
    /// Runs a container that is expected to fail. It is an error if it hangs, or goes on running.
    pub(crate) async fn of(node: &Node, annotations: &[(String, String)], spec: &ContainerSpec) -> Result<Self> {
        let pod = Pod::run(node, "bad", annotations, node.subject.handler()).await?;
        let refusal = Self::in_pod(&pod, spec).await?;
        pod.remove().await?;
        Ok(refusal)
    }

    /// The same in a pod that is there.
    pub(crate) async fn in_pod(pod: &Pod, spec: &ContainerSpec) -> Result<Self> {
        let mut container = match pod.create(spec).await {
            Ok(container) => container,
            Err(error) => return Self::at("CreateContainer", &error),
        };
        if let Err(error) = container.start().await {
            return Self::at("StartContainer", &error);
        }
        let status = container.wait_for_end(END_LIMIT).await?;
        let ContainerStatus { exit_code, reason, message, .. } = status;
        if exit_code == 0 {
            bail!("it ended well (exit code 0), and should have failed:\n{}", container.text());
        }
        let text = format!("{reason} {message} {}", container.text());
        Ok(Self { stage: format!("exit code {exit_code}"), text })
    }

    /// The words that a person looks for must be there: one of `words`.
    pub(crate) fn says_one_of(&self, words: &[&str]) -> Result<String> {
        let text = self.text.to_lowercase();
        let line = self.text.lines().rfind(|line| {
            let line = line.to_lowercase();
            words.iter().any(|word| line.contains(&word.to_lowercase()))
        });
        if !words.iter().any(|word| text.contains(&word.to_lowercase())) {
            bail!("{} says none of {words:?}: {}", self.stage, self.text.trim());
        }
        let line: String = line.unwrap_or_default().trim().chars().take(220).collect();
        Ok(format!("{}: {line}", self.stage))
    }

    fn at(stage: &str, error: &anyhow::Error) -> Result<Self> {
        let text = format!("{error:#}");
        if text.contains("hangs: no answer") {
            bail!("{text}");
        }
        Ok(Self { stage: stage.to_owned(), text })
    }
}
