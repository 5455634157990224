//! Models that guests bring as bytes, started on the placements that their deployment is granted.
//!
//! Nothing is known of such a model: it has no golden vectors, so that it runs in f32, one inference a call, and shares none.
//! What was started stays for a while, because guests bring the same bytes with every request, and starting takes a thousand
//! times as long as finding them again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wisp_backends::Libraries;
use wisp_core::{
    Backend, BackendError, BackendId, Device, ErrorKind, Kinded, LoadRequest, ModelFormat, Placement, Session,
};
use wisp_host::{ExecutionTarget, GrantedModel, GraphEncoding, LoadError, ModelBytes, ModelLoader};
use wisp_model_store::{NoProgress, Store};
use wisp_scheduler::{QueueConfig, SchedulerMetrics, Served, spawn};

use crate::libraries;
use crate::model::threads;

/// Models that stay started at one time, the latest ones.
const KEPT_LIMIT: usize = 8;

/// The one loader of an engine.
pub(crate) struct Brought {
    store: Store,
    metrics: SchedulerMetrics,
    /// The latest last. Held while a model starts: two guests that bring the same one at once start it once, and a burst of
    /// different ones cannot take all memory at the same time.
    started: Mutex<Vec<(Key, Arc<GrantedModel>)>>,
}

/// The loader as a deployment has it.
pub(crate) struct GrantedLoader {
    brought: Arc<Brought>,
    placements: Vec<Placement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    digest: [u8; 32],
    format: ModelFormat,
    placement: Placement,
}

impl std::fmt::Debug for GrantedLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantedLoader").field("placements", &self.placements).finish_non_exhaustive()
    }
}

impl Brought {
    pub(crate) fn new(store: &Store, metrics: SchedulerMetrics) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), metrics, started: Mutex::default() })
    }

    /// What a deployment that is granted these placements loads with.
    pub(crate) fn granted(self: &Arc<Self>, placements: &[Placement]) -> Option<Arc<dyn ModelLoader>> {
        if placements.is_empty() {
            return None;
        }
        Some(Arc::new(GrantedLoader { brought: Arc::clone(self), placements: placements.to_vec() }))
    }

    fn start(
        &self,
        format: ModelFormat,
        placement: Placement,
        parts: &[Bytes],
    ) -> Result<Arc<GrantedModel>, LoadError> {
        let key = Key { digest: digest(parts), format, placement };
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = started.iter().position(|(known, _)| *known == key) {
            let found = started.remove(index);
            let model = Arc::clone(&found.1);
            started.push(found);
            return Ok(model);
        }
        let model = Arc::new(self.open(&key, parts)?);
        if started.len() >= KEPT_LIMIT {
            // Guests that compute with it keep it alive until they are done.
            started.remove(0);
        }
        started.push((key, Arc::clone(&model)));
        Ok(model)
    }

    fn open(&self, key: &Key, parts: &[Bytes]) -> Result<GrantedModel, LoadError> {
        let backend = self.backend(key.placement)?;
        let files = Files::write(key.format, parts).map_err(|error| {
            LoadError::new(
                ErrorKind::Unavailable,
                format!("the model cannot be written to a temporary folder: {error}"),
            )
        })?;
        let name = format!("{}-{}", key.format, hex(&key.digest[..6]));
        let session = load(backend.as_ref(), &name, &files.file, key).map_err(|error| refused(&name, &error))?;
        let config = QueueConfig { metrics: Some(self.metrics.clone()), ..QueueConfig::unproven(name.clone()) };
        let served = Served { session, recovery: None, processor: None };
        let queue = spawn(config, vec![served]).map_err(|error| {
            LoadError::new(ErrorKind::ResourceExhausted, format!("no thread for its session: {error}"))
        })?;
        tracing::info!(model = name, placement = %key.placement, "a guest's model is started");
        Ok(GrantedModel { name, queue, tokenizer: None, embedding: None, labels: Vec::new(), max_batch_tokens: 1 })
    }

    fn backend(&self, placement: Placement) -> Result<Box<dyn Backend>, LoadError> {
        let unavailable = |reason: String| LoadError::new(ErrorKind::Unavailable, reason);
        let libraries: Libraries = libraries::ensure(&self.store, placement, &NoProgress).map_err(unavailable)?;
        let found = wisp_backends::all(&libraries).into_iter().find(|backend| backend.id() == placement.backend);
        found.ok_or_else(|| unavailable(format!("backend `{}` is not compiled into this binary", placement.backend)))
    }
}

impl ModelLoader for GrantedLoader {
    fn load(&self, model: ModelBytes) -> Result<Arc<GrantedModel>, LoadError> {
        let format = format_of(&model)?;
        let readers = readers_of(format);
        let fits =
            |placement: &&Placement| is_target(placement.device, model.target) && readers.contains(&placement.backend);
        let placement = self.placements.iter().find(fits).ok_or_else(|| self.no_placement(format, model.target))?;
        self.brought.start(format, *placement, &model.parts)
    }
}

impl GrantedLoader {
    fn no_placement(&self, format: ModelFormat, target: ExecutionTarget) -> LoadError {
        let granted: Vec<_> = self.placements.iter().map(ToString::to_string).collect();
        let target = match target {
            ExecutionTarget::Cpu => "the CPU",
            ExecutionTarget::Gpu => "a GPU",
            ExecutionTarget::Tpu => "an NPU",
        };
        LoadError::new(
            ErrorKind::PermissionDenied,
            format!(
                "no granted placement runs {format} models from the guest's memory on {target}; granted: {}",
                granted.join(", ")
            ),
        )
    }
}

/// The backends that read a format, known without their libraries.
fn readers_of(format: ModelFormat) -> Vec<BackendId> {
    let backends = wisp_backends::all(&Libraries::default());
    backends.iter().filter(|backend| backend.formats().contains(&format)).map(|backend| backend.id()).collect()
}

fn load(backend: &dyn Backend, name: &str, file: &Path, key: &Key) -> Result<Box<dyn Session>, BackendError> {
    let signature = backend.inspect(file, key.format)?;
    let plain = LoadRequest::plain(name, file, key.format, &signature);
    backend.load(&LoadRequest { device: key.placement.device, threads: threads(), ..plain })
}

/// The model, in a folder that goes with it: libraries read files.
struct Files {
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Files {
    fn write(format: ModelFormat, parts: &[Bytes]) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("wisp-model-").tempdir()?;
        let name = match format {
            ModelFormat::OpenVino => "model.xml",
            ModelFormat::Onnx => "model.onnx",
            ModelFormat::TfLite => "model.tflite",
            ModelFormat::Safetensors => "model.safetensors",
        };
        let file = folder.path().join(name);
        std::fs::write(&file, &parts[0])?;
        if let Some(weights) = parts.get(1) {
            std::fs::write(folder.path().join("model.bin"), weights)?;
        }
        Ok(Self { file, _folder: folder })
    }
}

/// The format of a guest's model, and whether it has the parts that this one has.
fn format_of(model: &ModelBytes) -> Result<ModelFormat, LoadError> {
    let format = match model.encoding {
        GraphEncoding::OpenVino => ModelFormat::OpenVino,
        GraphEncoding::Onnx => ModelFormat::Onnx,
        GraphEncoding::TensorFlowLite => ModelFormat::TfLite,
        GraphEncoding::Autodetect => detect(&model.parts).ok_or_else(|| {
            LoadError::encoding("the model is none of onnx, openvino and tensorflowlite; say what it is")
        })?,
        GraphEncoding::TensorFlow | GraphEncoding::PyTorch | GraphEncoding::Ggml => {
            let encoding = format!("{:?}", model.encoding).to_ascii_lowercase();
            return Err(LoadError::encoding(format!(
                "{encoding} models cannot be loaded here; this host loads onnx, openvino and tensorflowlite"
            )));
        }
    };
    let expected = if format == ModelFormat::OpenVino { 2 } else { 1 };
    if model.parts.len() != expected || model.parts.iter().any(Bytes::is_empty) {
        let parts = model.parts.len();
        let what = if expected == 2 {
            "two parts that are not empty, the XML and the weights"
        } else {
            "one part that is not empty"
        };
        return Err(LoadError::new(
            ErrorKind::InvalidArgument,
            format!("{format} models have {what}; the guest gave {parts}"),
        ));
    }
    Ok(format)
}

/// What the bytes look like. Sources: the identifier of TensorFlow Lite's schema; OpenVINO's root element; the first field of
/// ONNX's `ModelProto`, a number.
fn detect(parts: &[Bytes]) -> Option<ModelFormat> {
    match parts {
        [_, _] => Some(ModelFormat::OpenVino),
        [model] if model.get(4..8) == Some(b"TFL3") => Some(ModelFormat::TfLite),
        [model] if model.first() == Some(&0x08) => Some(ModelFormat::Onnx),
        _ => None,
    }
}

fn is_target(device: Device, target: ExecutionTarget) -> bool {
    match target {
        ExecutionTarget::Cpu => device == Device::Cpu,
        ExecutionTarget::Gpu => matches!(device, Device::Gpu(_)),
        ExecutionTarget::Tpu => device == Device::Npu,
    }
}

/// What a backend said, without the paths of this machine, which are not the guest's business.
fn refused(name: &str, error: &BackendError) -> LoadError {
    tracing::warn!(model = name, "a guest's model is refused: {error}");
    let kind = match error.kind() {
        ErrorKind::Internal => ErrorKind::InvalidArgument,
        kind => kind,
    };
    LoadError::new(kind, format!("the model cannot be loaded: {}", reason(error)))
}

fn reason(error: &BackendError) -> String {
    match error {
        BackendError::Model { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

fn digest(parts: &[Bytes]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
