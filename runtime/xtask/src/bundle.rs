//! `cargo xtask bundle`: everything that a node needs of Wisp, in one folder that can lie anywhere and is mounted at `/opt/wisp`.

mod contents;
mod elf;
mod licences;
mod native;
mod patchelf;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use wisp_model_store::{Access, CUDA_LIBRARIES, NativeLibrary, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO, Store};

use crate::assets::StepProgress;
use crate::process::{cargo, run_within};
use crate::progress::{Step, readable_bytes};
use crate::setup::{self, Workplace};
use crate::shim;
use contents::{BUNDLE_FILE, Contents};
use elf::Elf;

/// Where containers see the bundle. The loader's path is compiled into programs, so it cannot be relative.
const MOUNT_POINT: &str = "/opt/wisp";

/// Which part a file belongs to, for sizes.
const ENGINE: &str = "engine";
const RUNTIME: &str = "C runtime";

/// Options of the bundle.
#[derive(Clone, Debug, Args)]
pub(crate) struct Bundle {
    /// How the engine is built.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// The folder; a bundle that lies there is replaced.
    #[arg(long, default_value = "target/bundle", value_name = "FOLDER")]
    out: PathBuf,
    /// The backends with a library of their own that are part of it.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["openvino", "ort"])]
    backends: Vec<BundledBackend>,
    /// Add what OpenVINO needs for Intel GPUs and NPUs, and to combine devices.
    #[arg(long)]
    intel_devices: bool,
    /// Add ONNX Runtime with CUDA, and the CUDA libraries that it needs.
    #[arg(long)]
    cuda: bool,
    /// A shim that was built already, linked statically; otherwise it is built.
    #[arg(long, value_name = "FILE")]
    shim: Option<PathBuf>,
    /// Leave the shim out: for container images, which need none.
    #[arg(long, conflicts_with = "shim")]
    without_shim: bool,
}

/// A profile of cargo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Quick to build, for tests of the bundle itself.
    Dev,
    /// What is shipped.
    #[default]
    Release,
}

impl Profile {
    /// What cargo is told.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[],
            Self::Release => &["--release"],
        }
    }

    /// Where cargo puts what it builds.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// A backend whose library is not compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BundledBackend {
    /// OpenVINO.
    Openvino,
    /// ONNX Runtime.
    Ort,
}

impl Bundle {
    /// Quick to build: the shim, and an engine whose only backend is compiled in.
    pub(crate) fn for_tests() -> Self {
        Self {
            profile: Profile::Dev,
            out: "target/e2e-bundle".into(),
            backends: Vec::new(),
            intel_devices: false,
            cuda: false,
            shim: None,
            without_shim: false,
        }
    }

    /// Where it is laid out.
    pub(crate) fn folder(&self, workplace: &Workplace) -> PathBuf {
        workplace.repository.root().join(&self.out)
    }
}

/// Builds the engine and lays the bundle out.
pub(crate) fn bundle(workplace: &Workplace, options: &Bundle) -> Result<()> {
    setup::prepare_guests(workplace)?;
    let engine = build_engine(workplace, options.profile)?;
    let shim = match &options.shim {
        None if options.without_shim => None,
        None => Some(shim::build(workplace, options.profile)?),
        Some(file) => Some(file.clone()),
    };

    let step = Step::begin("bundle");
    let store = Store::new(workplace.home.clone(), Access::Online);
    let elf = Elf::new(patchelf::ensure(&store, &workplace.home.tools(), &StepProgress { step: &step })?);
    let out = options.folder(workplace);
    let mut contents = Contents::begin(&out)?;
    add_engine(&mut contents, &elf, &engine)?;
    if let Some(shim) = &shim {
        contents.add_program(shim, &format!("bin/{}", shim::PROGRAM), "shim")?;
    }
    for (library, folder, part) in libraries(options) {
        step.say(&format!("{} {}", library.name, library.version));
        let file = store.ensure_library(library, &StepProgress { step: &step })?;
        let source = file.parent().context("a library lies in a folder")?;
        native::add(&mut contents, source, folder, part, options.intel_devices)?;
    }
    link_runtime(&mut contents, &elf)?;
    contents.add_folder("node")?;
    let crates: &[&str] = if shim.is_some() { &["wisp-cli", "wisp-shim"] } else { &["wisp-cli"] };
    licences::add(&mut contents, workplace.repository.root(), crates)?;
    let summary = contents.finish(env!("CARGO_PKG_VERSION"), MOUNT_POINT)?;
    step.done(&format!("{} in {}", readable_bytes(summary.total_bytes()), out.display()));
    print!("{summary}");
    Ok(())
}

/// The libraries that the options name: where each goes, and the part that it is.
fn libraries(options: &Bundle) -> Vec<(&'static NativeLibrary, &'static str, &'static str)> {
    let mut libraries: Vec<(&'static NativeLibrary, &'static str, &'static str)> = Vec::new();
    if options.backends.contains(&BundledBackend::Openvino) {
        libraries.push((&OPENVINO, "lib/openvino", "OpenVINO"));
    }
    if options.backends.contains(&BundledBackend::Ort) {
        libraries.push((&ONNX_RUNTIME, "lib/onnxruntime", "ONNX Runtime"));
    }
    if options.cuda {
        libraries.push((&ONNX_RUNTIME_CUDA, "lib/onnxruntime-cuda", "ONNX Runtime for CUDA"));
        libraries.extend(CUDA_LIBRARIES.map(|library| (library, "lib/cuda", "CUDA")));
    }
    libraries
}

fn build_engine(workplace: &Workplace, profile: Profile) -> Result<PathBuf> {
    let step = Step::begin("wisp");
    let mut command = cargo();
    command.current_dir(workplace.repository.root()).args(["build", "--bin", "wisp"]).args(profile.flags());
    let folder = profile.folder();
    run_within(&step, &mut command)?;
    let program = workplace.repository.root().join("target").join(folder).join("wisp");
    step.done(&format!("built in target/{folder}"));
    ensure!(program.is_file(), "{} was not built; is CARGO_TARGET_DIR set?", program.display());
    Ok(program)
}

/// The engine, which finds loader and libraries in the bundle alone.
fn add_engine(contents: &mut Contents, elf: &Elf, program: &Path) -> Result<()> {
    let interpreter = elf.interpreter(program)?;
    let loader = interpreter.file_name().and_then(|name| name.to_str()).context("the loader has a name")?.to_owned();
    let placed = contents.add_program(program, "bin/wisp", ENGINE)?;
    elf.strip(&placed)?;
    elf.move_to(&placed, &format!("{MOUNT_POINT}/lib/{loader}"), &format!("{MOUNT_POINT}/lib"))?;
    contents.add_program(&interpreter, &format!("lib/{loader}"), RUNTIME)?;
    Ok(())
}

/// Adds what programs and libraries need of the C runtime, and makes it visible from the folder of each library: those look
/// beside themselves only, and an image has nothing else.
fn link_runtime(contents: &mut Contents, elf: &Elf) -> Result<()> {
    let mut waiting: Vec<String> = contents.shared_objects();
    while let Some(object) = waiting.pop() {
        let folder = Path::new(&object).parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        for name in elf.needed(&contents.path(&object))? {
            let (beside, common) = (format!("{folder}/{name}"), format!("lib/{name}"));
            if contents.has(&beside) {
                continue;
            }
            if !contents.has(&common) {
                let Some(source) = elf::system_library(&name)? else {
                    // Drivers and loaders of devices belong to the machine, and come with the device.
                    if native::comes_with_a_device(&name) {
                        continue;
                    }
                    bail!("{object} needs {name}, which is neither in the bundle nor on this machine");
                };
                contents.add_program(&source, &common, RUNTIME)?;
                waiting.push(common.clone());
            }
            if folder.starts_with("lib/") {
                contents.add_link(&beside, &format!("../{name}"))?;
            }
        }
    }
    Ok(())
}

/// Whether a folder may be replaced: only what is a bundle, or nothing.
fn may_replace(folder: &Path) -> bool {
    let is_empty = || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    !folder.exists() || folder.join(BUNDLE_FILE).is_file() || is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bundle_or_nothing_is_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(may_replace(&folder.path().join("absent")) && may_replace(folder.path()));
        std::fs::write(folder.path().join("thesis.txt"), "years of work").expect("writable");
        assert!(!may_replace(folder.path()));
        std::fs::write(folder.path().join(BUNDLE_FILE), "{}").expect("writable");
        assert!(may_replace(folder.path()));
    }
}
