//! `wisp models list | pull | import | verify | inspect | calibrate | export`.

mod calibrate;
mod export;
mod import;
mod inspect;
mod verify;

use clap::{Args, Subcommand};
use serde::Serialize;
use wisp_core::BackendId;
use wisp_model_store::{
    CUDA_LIBRARIES, FileCheck, FileState, Manifest, Model, NativeLibrary, ONNX_RUNTIME, ONNX_RUNTIME_CUDA, OPENVINO,
    Store,
};

use crate::progress::Console;
use crate::{Format, GlobalOptions, output, table};

/// List, fetch, check and export models.
#[derive(Subcommand)]
pub(crate) enum Models {
    /// List the built-in and imported models and what is here of them.
    List(List),
    /// Fetch a model and the native library that runs it.
    Pull(Pull),
    /// Bring in a model of your own: ONNX, OpenVINO IR, TensorFlow Lite or safetensors.
    Import(import::Import),
    /// Read every file of a model again, and compare every backend with the golden vectors.
    Verify(verify::Verify),
    /// Show what a manifest says.
    Inspect(inspect::Inspect),
    /// Run a model on texts to find the ranges that its static int8 form rounds by.
    Calibrate(calibrate::Calibrate),
    /// Make an ONNX graph out of the safetensors of a BERT-class encoder.
    Export(export::Export),
}

#[derive(Args)]
pub(crate) struct List {
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Pull {
    /// A built-in model, or a folder with a model.toml.
    #[arg(value_name = "MODEL")]
    model: String,
    /// Fetch every file again and replace what is in the cache, once all of them are there.
    #[arg(long, env = "WISP_FORCE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    force: bool,
    /// Fetch ONNX Runtime with CUDA, for NVIDIA GPUs, instead of the one for CPUs, and the CUDA libraries that it loads
    /// (1.2 GB; 2 GB unpacked). The driver is the machine's own.
    #[arg(long, env = "WISP_CUDA", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    cuda: bool,
}

impl Models {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(&options.store()?),
            Self::Pull(command) => command.run(&options.store()?),
            Self::Import(command) => command.run(&options.store()?),
            Self::Verify(command) => command.run(&options.store()?),
            Self::Inspect(command) => command.run(&options.store()?),
            Self::Calibrate(command) => command.run(&options.store()?),
            Self::Export(command) => command.run(),
        }
    }
}

/// A row of the list.
#[derive(Serialize)]
struct ListedModel {
    name: String,
    version: String,
    license: String,
    state: String,
    digest: String,
    description: String,
}

impl List {
    fn run(&self, store: &Store) -> anyhow::Result<()> {
        let builtin = Manifest::builtin_names().iter().map(|name| (*name).to_owned());
        let names: Vec<String> = builtin.chain(store.imported()?).collect();
        let listed = names.iter().map(|name| list(store, name)).collect::<anyhow::Result<Vec<_>>>()?;
        if self.format == Format::Json {
            output::line(serde_json::to_string_pretty(&listed)?)?;
            return Ok(());
        }
        let mut rows = table::with_header(&["model", "version", "licence", "here", "description"]);
        for ListedModel { name, version, license, state, description, .. } in listed {
            rows.add_row([name, version, license, state, description]);
        }
        output::line(rows)?;
        Ok(())
    }
}

fn list(store: &Store, name: &str) -> anyhow::Result<ListedModel> {
    let model = store.open(name)?;
    let files = store.installed(&model);
    let is_here = |file: &&FileCheck| matches!(file.state, FileState::Verified | FileState::Unchecked);
    let (here, total) = (files.iter().filter(is_here).count(), files.len());
    Ok(ListedModel {
        name: model.manifest.name.clone(),
        version: model.manifest.version.clone(),
        license: model.manifest.license.clone(),
        state: format!("{here} of {total} files"),
        digest: model.digest().to_string(),
        description: model.manifest.description.clone(),
    })
}

impl Pull {
    fn run(self, store: &Store) -> anyhow::Result<()> {
        let progress = Console::new();
        let model = store.open(&self.model)?;
        if self.force {
            store.renew(&model, &progress)?;
        }
        for file in model.manifest.model_files() {
            let local = store.ensure(&model, file, &progress)?;
            output::line(format_args!("{}: {}", local.format, local.file.display()))?;
        }
        for library in self.libraries(&model) {
            let path = store.ensure_library(library, &progress)?;
            output::line(format_args!("{} {}: {}", library.name, library.version, path.display()))?;
        }
        Ok(())
    }

    /// The libraries of the backends that the model has files for; ONNX Runtime with CUDA in place of the other if asked for.
    fn libraries(&self, model: &Model) -> Vec<&'static NativeLibrary> {
        let has = |backend| model.manifest.model_files().any(|file| file.backends.contains(&backend));
        let onnxruntime = if self.cuda { &ONNX_RUNTIME_CUDA } else { &ONNX_RUNTIME };
        let offered = [(BackendId::OpenVino, &OPENVINO), (BackendId::Ort, onnxruntime)];
        let needed = offered.into_iter().filter(|(backend, _)| has(*backend)).map(|(_, library)| library);
        let cuda = CUDA_LIBRARIES.into_iter().filter(|_| self.cuda && has(BackendId::Ort));
        needed.chain(cuda).collect()
    }
}
