//! The images of the test pods, made here and imported without a registry.

mod archive;
mod layer;

use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use archive::Image;
use archive::architecture;
use layer::Layer;

/// The image of every sandbox: a static program that sleeps.
pub(crate) const PAUSE: &str = "wisp.test/pause:1";
/// A Linux container beside a module: the same program, without a command.
pub(crate) const SIDECAR: &str = "wisp.test/sidecar:1";
/// The embedder as a container image: `/module.wasm` is the entrypoint.
pub(crate) const MODULE: &str = "wisp.test/embedder:1";
/// The embedder as a Wasm artifact.
pub(crate) const ARTIFACT: &str = "wisp.test/embedder-artifact:1";
/// The model's folder as an image, for image volumes.
pub(crate) const MODEL: &str = "wisp.test/model:1";
/// A text file where the module should be.
pub(crate) const NOT_WASM: &str = "wisp.test/not-wasm:1";
/// The first half of the embedder.
pub(crate) const TRUNCATED: &str = "wisp.test/truncated:1";
/// The first half of the embedder, as an artifact.
pub(crate) const TRUNCATED_ARTIFACT: &str = "wisp.test/truncated-artifact:1";
/// Machine code that an engine compiled before.
pub(crate) const PRECOMPILED: &str = "wisp.test/precompiled:1";
/// A Linux program for another processor.
pub(crate) const FOREIGN: &str = "wisp.test/foreign:1";

/// What the images are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingredients<'a> {
    /// The static Linux program.
    pub(crate) program: &'a Path,
    /// The embedder component.
    pub(crate) module: &'a Path,
    /// The model's folder.
    pub(crate) model: &'a Path,
}

/// Every image that this containerd can take.
pub(crate) fn all(from: Ingredients<'_>, takes_artifacts: bool, takes_image_volumes: bool) -> Result<Vec<Image>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (program, module) = (read(from.program)?, read(from.module)?);
    let half = &module[..module.len() / 2];
    let here = architecture();
    let of_program = || Layer::new().file("inhabitant", 0o755, &program);
    let of_module = |bytes: &[u8]| Layer::new().file("module.wasm", 0o644, bytes);

    let mut images = vec![
        Image::of_files(PAUSE, here, &["/inhabitant", "pause"], of_program()?)?,
        Image::of_files(SIDECAR, here, &["/inhabitant"], of_program()?)?,
        Image::of_files(MODULE, here, &["/module.wasm"], of_module(&module)?)?,
        Image::of_files(NOT_WASM, here, &["/module.wasm"], of_module(b"this is a text, not a module\n")?)?,
        Image::of_files(TRUNCATED, here, &["/module.wasm"], of_module(half)?)?,
        Image::of_files(PRECOMPILED, here, &["/module.wasm"], of_module(&machine_code())?)?,
        Image::of_files(
            FOREIGN,
            here,
            &["/inhabitant"],
            Layer::new().file("inhabitant", 0o755, &foreign(program.clone()))?,
        )?,
    ];
    if takes_artifacts {
        images.push(Image::of_component(ARTIFACT, &module));
        images.push(Image::of_component(TRUNCATED_ARTIFACT, half));
    }
    if takes_image_volumes {
        images.push(Image::of_files(MODEL, here, &[], model_layer(from.model)?)?);
    }
    Ok(images)
}

/// What wasmtime writes of a compiled component: an ELF file for no operating system, which names its engine. Only its
/// beginning counts here, since it must be refused before anybody looks further.
fn machine_code() -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 200, 0];
    header.resize(64, 0);
    header.extend_from_slice(b".wasmtime.engine\0.wasmtime.bti\0.text");
    header.resize(4096, 0);
    header
}

/// A program that claims to be for a processor that this machine is not: `e_machine`, the two bytes at 18.
fn foreign(mut program: Vec<u8>) -> Vec<u8> {
    const RISC_V: [u8; 2] = [243, 0];
    if let Some(machine) = program.get_mut(18..20) {
        machine.copy_from_slice(&RISC_V);
    }
    program
}

/// The files of a model's folder, and its golden vectors.
fn model_layer(folder: &Path) -> Result<Layer> {
    let files = |folder: &Path| -> Result<Vec<String>> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let files = entries.filter_map(Result::ok).filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    };
    let mut layer = Layer::new();
    for name in files(folder)? {
        layer = layer.copy(&name, 0o644, &folder.join(&name))?;
    }
    layer = layer.folder("golden")?;
    for name in files(&folder.join("golden"))? {
        layer = layer.copy(&format!("golden/{name}"), 0o644, &folder.join("golden").join(&name))?;
    }
    Ok(layer)
}
