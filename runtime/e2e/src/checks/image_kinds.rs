//! Other ways to bring module and model: a Wasm artifact, and an image volume.

use anyhow::Result;

use super::{Check, Outcome, holds, skipped};
use crate::embedder::{Embedder, MODEL_PATH};
use crate::images;
use crate::node::{Node, Subject};

pub(super) const ARTIFACT: Check = Check { name: "a Wasm artifact serves", run: |node| Box::pin(artifact(node)) };
pub(super) const IMAGE_VOLUME: Check =
    Check { name: "a model out of an image volume serves", run: |node| Box::pin(image_volume(node)) };

async fn artifact(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return skipped("containerd 1.6.20 takes no artifacts");
    }
    if node.subject != Subject::Shim {
        return skipped("runc runs no artifacts");
    }
    let embedder = Embedder::without_model(images::ARTIFACT)?;
    // An artifact has no entrypoint, and the CRI wants a command.
    let embedder = embedder.with(|spec| spec.command(&["/"]).mount(MODEL_PATH, &node.model)).patient(node);
    holds(embedder.serve(node).await?.golden(node).await?)
}

async fn image_volume(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() {
        return skipped("image volumes need containerd 2.1");
    }
    let embedder = Embedder::without_model(images::MODULE)?;
    let embedder = embedder.with(|spec| spec.image_volume(MODEL_PATH, images::MODEL)).patient(node);
    holds(embedder.serve(node).await?.golden(node).await?)
}
