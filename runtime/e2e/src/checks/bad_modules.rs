//! Images that are no module of this machine: each is refused, with words that say what is wrong.

use anyhow::Result;

use super::{Check, Outcome, holds, skipped};
use crate::embedder::{Embedder, MODEL_PATH};
use crate::images;
use crate::node::{Node, Subject};
use crate::pod::ContainerSpec;
use crate::refusal::Refusal;

pub(super) const TEXT: Check = Check {
    name: "a text in place of a module is refused",
    run: |node| Box::pin(refused(node, images::NOT_WASM, &["neither a WebAssembly module", "magic number"])),
};
pub(super) const TRUNCATED: Check =
    Check { name: "half a module is refused", run: |node| Box::pin(refused(node, images::TRUNCATED, &HALF)) };
pub(super) const PRECOMPILED: Check = Check {
    name: "machine code in an image is refused",
    run: |node| Box::pin(refused(node, images::PRECOMPILED, &["precompiled machine code", "magic number"])),
};
pub(super) const ARTIFACT: Check = Check { name: "half an artifact is refused", run: |node| Box::pin(artifact(node)) };
pub(super) const FOREIGN: Check =
    Check { name: "a program for another processor is refused", run: |node| Box::pin(foreign(node)) };

/// What the parser of WebAssembly says of a file that ends too early.
const HALF: [&str; 2] = ["out of bounds", "unexpected end"];

async fn refused(node: &mut Node, image: &'static str, words: &'static [&'static str]) -> Result<Outcome> {
    let embedder = Embedder::without_model(image)?.with(|spec| spec.mount(MODEL_PATH, &node.model));
    let (annotations, spec) = embedder.for_node(node)?;
    holds(Refusal::of(node, &annotations, &spec).await?.says_one_of(words)?)
}

async fn artifact(node: &mut Node) -> Result<Outcome> {
    if !node.is_modern() || node.subject != Subject::Shim {
        return skipped("needs the shim, and containerd 2");
    }
    let embedder = Embedder::without_model(images::TRUNCATED_ARTIFACT)?;
    let (annotations, spec) =
        embedder.with(|spec| spec.command(&["/"]).mount(MODEL_PATH, &node.model)).for_node(node)?;
    holds(Refusal::of(node, &annotations, &spec).await?.says_one_of(&HALF)?)
}

async fn foreign(node: &mut Node) -> Result<Outcome> {
    let spec = ContainerSpec::new("foreign", images::FOREIGN);
    holds(Refusal::of(node, &[], &spec).await?.says_one_of(&["exec format error", "is a program for"])?)
}
