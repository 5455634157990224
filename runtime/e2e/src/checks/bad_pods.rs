//! Pods that ask for what is not there or does not fit: each ends with words that name it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Check, Outcome, holds};
use crate::embedder::{Embedder, MODEL_PATH};
use crate::images::MODULE;
use crate::node::Node;
use crate::refusal::Refusal;

pub(super) const NO_MODEL: Check =
    Check { name: "a model that is not mounted is named", run: |node| Box::pin(no_model(node)) };
pub(super) const UNREADABLE: Check =
    Check { name: "a model that the user cannot read is named", run: |node| Box::pin(unreadable(node)) };
pub(super) const NO_FOLDER: Check =
    Check { name: "a volume that is not on the node is named", run: |node| Box::pin(no_folder(node)) };
pub(super) const NO_DEVICE: Check =
    Check { name: "a device that is not on the node is named", run: |node| Box::pin(no_device(node)) };
pub(super) const NO_CDI_DEVICE: Check =
    Check { name: "a CDI device that nobody specified is named", run: |node| Box::pin(no_cdi_device(node)) };
pub(super) const NO_GPU: Check =
    Check { name: "a GPU that was not granted is named", run: |node| Box::pin(no_gpu(node)) };
pub(super) const SMALL: Check =
    Check { name: "32Mi: the pod says what does not fit", run: |node| Box::pin(small(node)) };
pub(super) const SAME_PORT: Check =
    Check { name: "a second container with the same port names it", run: |node| Box::pin(same_port(node)) };

pub(super) async fn refused(node: &Node, embedder: Embedder, words: &[&str]) -> Result<Outcome> {
    let (annotations, spec) = embedder.for_node(node)?;
    holds(Refusal::of(node, &annotations, &spec).await?.says_one_of(words)?)
}

async fn no_model(node: &mut Node) -> Result<Outcome> {
    refused(node, Embedder::without_model(MODULE)?, &[MODEL_PATH]).await
}

async fn unreadable(node: &mut Node) -> Result<Outcome> {
    let folder = node.containerd.paths.folder.join("closed");
    std::fs::create_dir_all(&folder).context("cannot create a folder")?;
    std::fs::copy(node.model.join("model.toml"), folder.join("model.toml")).context("cannot copy the manifest")?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).context("cannot close a folder")?;
    let embedder = Embedder::without_model(MODULE)?.with(|spec| spec.mount(MODEL_PATH, &folder));
    refused(node, embedder, &["permission denied"]).await
}

async fn no_folder(node: &mut Node) -> Result<Outcome> {
    let missing = PathBuf::from("/no-such-folder-of-wisp/model");
    let embedder = Embedder::without_model(MODULE)?.with(|spec| spec.mount(MODEL_PATH, &missing));
    let refused = refused(node, embedder, &["no-such-folder-of-wisp", MODEL_PATH]).await;
    // containerd makes the folder in place of refusing the pod, so it is the model that is missing.
    let made = PathBuf::from("/no-such-folder-of-wisp");
    if made.exists() {
        std::fs::remove_dir_all(&made).context("cannot delete what containerd made")?;
        ensure!(!made.exists(), "{} is still there", made.display());
    }
    refused
}

async fn no_device(node: &mut Node) -> Result<Outcome> {
    let embedder = Embedder::new(node)?.with(|spec| spec.device("/dev/no-such-device-of-wisp"));
    refused(node, embedder, &["no-such-device-of-wisp"]).await
}

async fn no_cdi_device(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return super::skipped("containerd 1.6 has no CDI");
    }
    let embedder = Embedder::new(node)?.with(|spec| spec.cdi_device("wisp.test/nothing=0"));
    refused(node, embedder, &["wisp.test/nothing=0"]).await
}

async fn no_gpu(node: &mut Node) -> Result<Outcome> {
    let embedder = Embedder::new(node)?.setting("models.all-minilm-l6-v2.placement", "[\"ort:gpu:0\"]");
    refused(node, embedder, &["ort:gpu:0", "gpu:0", "cuda", "onnxruntime"]).await
}

async fn small(node: &mut Node) -> Result<Outcome> {
    let embedder = Embedder::new(node)?.with(|spec| spec.memory_mib(32));
    refused(node, embedder, &["memory", "32 MiB", "32Mi", "OOMKilled"]).await
}

async fn same_port(node: &mut Node) -> Result<Outcome> {
    let first = Embedder::new(node)?.serve(node).await?;
    let (annotations, spec) = Embedder::new(node)?.on_port(first.port).for_node(node)?;
    let refusal = Refusal::of(node, &annotations, &spec).await?;
    let seen = refusal.says_one_of(&[&first.port.to_string()])?;
    first.some_golden(node).await.context("the first one")?;
    holds(seen)
}
