//! What the tests run on: the guests' models as files, and the queues that the adapter puts before them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokenizers::Tokenizer;
use wasmtime_wasi_nn::backend::openvino::OpenvinoBackend;
use wasmtime_wasi_nn::wit::{ExecutionTarget, GraphEncoding};
use wasmtime_wasi_nn::{Backend, InMemoryRegistry};
use wisp_backends::Libraries;
use wisp_core::{BackendId, Device, LoadRequest, ModelFormat, Precision};
use wisp_model_store::{NoProgress, OPENVINO};
use wisp_nn_adapter::{SessionBackend, SessionRegistry, Terms};
use wisp_scheduler::{QueueConfig, Served, SessionQueue, spawn};
use wisp_testing::RealModel;

use crate::ir::Ir;
use crate::theirs::Inference;
use crate::{bert, classifier};

/// The name of the model that a registry holds.
pub(crate) const NAME: &str = "model";

/// A guest with its model in a folder, and OpenVINO open for everybody.
pub(crate) struct Bench {
    pub(crate) real: RealModel,
    pub(crate) wasm: Vec<u8>,
    pub(crate) folder: TempDir,
    /// What OpenVINO computes in on this processor where nobody tells it: the crate's backend does not.
    pub(crate) native: Precision,
    library: PathBuf,
    tokenizer: Option<Tokenizer>,
}

impl Bench {
    /// The encoder, for the guest `embed-nn`; a skip of `test` where something is missing.
    pub(crate) fn encoder(test: &str) -> Option<Self> {
        let bench = Self::open(test, "embed-nn")?;
        let RealModel { store, model, .. } = &bench.real;
        let file = model.manifest.file_of_format(ModelFormat::Safetensors).expect("is listed");
        let files = store.ensure(model, file, &NoProgress).expect("files of the model");
        write(&bert::minilm(&files.file), bench.folder.path());
        let mut tokenizer = Tokenizer::from_file(files.tokenizer.expect("a model of texts")).expect("was verified");
        tokenizer.with_padding(None);
        Some(Self { tokenizer: Some(tokenizer), ..bench })
    }

    /// The classifier and its picture, for the guest `image-witx`.
    pub(crate) fn classifier(test: &str) -> Option<Self> {
        let bench = Self::open(test, "image-witx")?;
        write(&classifier::ir(), bench.folder.path());
        std::fs::write(bench.folder.path().join("picture.png"), classifier::png(&classifier::picture()))
            .expect("written");
        Some(bench)
    }

    /// A guest that tries to break its host, with a classifier of bytes out of this repository.
    pub(crate) fn hostile(test: &str) -> Option<(Self, SessionRegistry)> {
        let bench = Self::open(test, "hostile-witx")?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1/birds_v1.tflite");
        let started = start(&bench.library, ModelFormat::TfLite, &file, Precision::F32);
        let queue = started.unwrap_or_else(|error| panic!("{error}"));
        Some((bench, SessionRegistry::new([("classifier".to_owned(), queue)], &Terms::default())))
    }

    /// The tokens of a golden text.
    pub(crate) fn tokens(&self, text: usize) -> Vec<u32> {
        let tokenizer = self.tokenizer.as_ref().expect("the bench has an encoder");
        tokenizer.encode(self.real.golden.texts[text].as_str(), true).expect("a text").get_ids().to_vec()
    }

    fn open(test: &str, guest: &str) -> Option<Self> {
        let wasm = std::fs::read(wisp_testing::guest(test, guest)?).expect("was just there");
        let real = RealModel::get(test)?;
        let library = real.store.find_library(&OPENVINO).expect("was fetched with the model");
        let folder = tempfile::tempdir().expect("temporary folder");
        // A process has one OpenVINO, and the crate's own finder does not know the names in wheels: what our backend has opened,
        // the crate's finds open.
        let report = backend(&library).report(Device::Cpu).expect("is looked for");
        assert_eq!(report.missing, None);
        let low = if cfg!(target_arch = "x86_64") { Precision::Bf16 } else { Precision::F16 };
        let native = if report.precisions.contains(&low) { low } else { Precision::F32 };
        Some(Self { real, wasm, folder, native, library, tokenizer: None })
    }

    /// The crate with its own OpenVINO.
    pub(crate) fn their_backend(&self) -> Inference {
        Inference { backends: vec![OpenvinoBackend::default().into()], registry: InMemoryRegistry::new().into() }
    }

    /// The crate with ours, for models that the guest brings, in this arithmetic.
    pub(crate) fn our_backend(&self, precision: Precision) -> Inference {
        let library = self.library.clone();
        let load = move |encoding: GraphEncoding, parts: &[&[u8]], target: ExecutionTarget| match (encoding, target) {
            (GraphEncoding::Openvino, ExecutionTarget::Cpu) => start_parts(&library, parts, precision),
            _ => Err("this host starts OpenVINO models on its processor".into()),
        };
        let backend = SessionBackend::new(GraphEncoding::Openvino, Terms::default(), Arc::new(load));
        Inference { backends: vec![Backend::from(backend)], registry: SessionRegistry::default().into() }
    }

    /// The crate with ours, for a model that the host has.
    pub(crate) fn our_registry(&self) -> Inference {
        let started =
            start(&self.library, ModelFormat::OpenVino, &self.folder.path().join("model.xml"), Precision::F32);
        let queue = started.unwrap_or_else(|error| panic!("{error}"));
        let registry = SessionRegistry::new([(NAME.to_owned(), queue)], &Terms::default());
        Inference { backends: vec![], registry: registry.into() }
    }
}

fn write(ir: &Ir, folder: &Path) {
    std::fs::write(folder.join("model.xml"), &ir.xml).expect("written");
    std::fs::write(folder.join("model.bin"), &ir.weights).expect("written");
}

/// A guest's model. Libraries read files, so it becomes some for as long as it is read.
fn start_parts(
    library: &Path,
    parts: &[&[u8]],
    precision: Precision,
) -> Result<SessionQueue, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.xml");
    std::fs::write(&file, parts[0])?;
    std::fs::write(folder.path().join("model.bin"), parts[1])?;
    start(library, ModelFormat::OpenVino, &file, precision)
}

fn start(
    library: &Path,
    format: ModelFormat,
    file: &Path,
    precision: Precision,
) -> Result<SessionQueue, Box<dyn Error + Send + Sync>> {
    let backend = backend(library);
    let signature = backend.inspect(file, format)?;
    let plain = LoadRequest::plain(NAME, file, format, &signature);
    let session = backend.load(&LoadRequest { precision, ..plain })?;
    Ok(spawn(QueueConfig::unproven(NAME), vec![Served { session, recovery: None, processor: None }])?)
}

fn backend(library: &Path) -> Box<dyn wisp_core::Backend> {
    let libraries = Libraries { openvino: Some(library.to_owned()), ..Libraries::default() };
    let backends = wisp_backends::all(&libraries);
    backends.into_iter().find(|backend| backend.id() == BackendId::OpenVino).expect("is compiled in")
}
