//! A node as one run of checks sees it: a private containerd with images, a model and a way to run the embedder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wisp_model_store::GoldenVectors;

use crate::containerd::{Containerd, Generation};
use crate::cri::Cri;
use crate::images::Image;
use crate::report::Figure;

/// Longest time until the CRI knows of an image that was imported.
const IMAGE_LIMIT: Duration = Duration::from_secs(10);

/// How often pods are removed after a failed check, a second apart.
const STRAGGLER_ROUNDS: u32 = 4;

/// What runs the embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The shim: the image is the module.
    Shim,
    /// runc, with the engine and its libraries mounted from the host: what the checks themselves are tried on.
    Container,
}

impl Subject {
    /// The runtime handler of its pods.
    pub(crate) fn handler(&self) -> &'static str {
        match self {
            Self::Shim => "wisp",
            Self::Container => "runc",
        }
    }
}

/// The node.
#[derive(Debug)]
pub(crate) struct Node {
    /// The daemon.
    pub(crate) containerd: Containerd,
    /// Its CRI.
    pub(crate) cri: Cri,
    /// What runs the embedder.
    pub(crate) subject: Subject,
    /// The program `wisp` that pods run.
    pub(crate) engine: PathBuf,
    /// The shim under test.
    pub(crate) shim: Option<PathBuf>,
    /// The model's folder, with manifest, golden vectors and files.
    pub(crate) model: PathBuf,
    /// What the model must answer.
    pub(crate) golden: GoldenVectors,
    /// What checks measured.
    pub(crate) figures: Vec<Figure>,
    /// Parent of every pod's cgroup.
    pub(crate) cgroup: String,
    /// How many pods there were.
    pub(crate) numbers: AtomicU32,
}

impl Node {
    /// A number that no other pod of this run has.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A TCP port that is free now.
    pub(crate) fn free_port() -> Result<u16> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        Ok(listener.local_addr().context("the port has no number")?.port())
    }

    /// Imports images and waits until pods can use them.
    pub(crate) async fn import(&self, images: &[Image]) -> Result<()> {
        for image in images {
            self.containerd.import(image).await?;
        }
        let started = Instant::now();
        for image in images {
            while !self.cri.has_image(&image.name).await? {
                if started.elapsed() > IMAGE_LIMIT {
                    bail!("containerd imported {} and its CRI does not know it", image.name);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Removes every pod, those of failed checks too.
    pub(crate) async fn sweep(&self) -> Result<()> {
        for sandbox in self.cri.sandboxes().await? {
            self.cri.stop_sandbox(&sandbox).await?;
            self.cri.remove_sandbox(&sandbox).await?;
        }
        Ok(())
    }

    /// The same after a check that failed: what it began and did not wait for may only now become a pod.
    pub(crate) async fn sweep_stragglers(&self) -> Result<()> {
        for _ in 0..STRAGGLER_ROUNDS {
            self.sweep().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.sweep().await
    }

    /// Whether this containerd has artifacts, CDI devices and image volumes.
    pub(crate) fn is_modern(&self) -> bool {
        self.containerd.generation == Generation::Two
    }
}
