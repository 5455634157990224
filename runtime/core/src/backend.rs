//! The two traits of inference: a backend loads a model, a session runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    BackendError, BackendId, Batch, Device, Layout, NamedTensor, Placement, Precision, Ragged, Signature, StaticShape,
};

/// The file format of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFormat {
    /// Weights alone; the architecture is a sibling `config.json`.
    Safetensors,
    /// An ONNX graph with its weights.
    Onnx,
    /// OpenVINO's own: a graph in XML; the weights are a sibling of the same name that ends in `.bin`.
    OpenVino,
    /// A TensorFlow Lite flat buffer.
    TfLite,
}

impl ModelFormat {
    /// Every format, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Safetensors, Self::Onnx, Self::OpenVino, Self::TfLite];

    /// The name used in manifests and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
            Self::OpenVino => "openvino",
            Self::TfLite => "tflite",
        }
    }
}

impl std::fmt::Display for ModelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How the hidden states of a row become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over the tokens that are not masked out.
    Mean,
    /// The first token, `[CLS]`.
    Cls,
    /// The last token that is not masked out.
    Last,
}

/// An output that is pooled inside the session: `[rows, hidden]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedOutput {
    /// Its name in the signature.
    pub name: String,
    /// How it is pooled.
    pub pooling: Pooling,
    /// Whether each vector is scaled to length 1.
    pub is_normalized: bool,
}

/// Everything a backend needs to load a model.
#[derive(Clone, Debug)]
pub struct LoadRequest<'a> {
    /// Name of the model, for messages.
    pub model: &'a str,
    /// The model file.
    pub file: &'a Path,
    /// Its format.
    pub format: ModelFormat,
    /// `config.json` of the architecture, for formats that carry weights alone.
    pub architecture: Option<&'a Path>,
    /// Inputs and outputs the manifest promises; the session must offer them.
    pub signature: &'a Signature,
    /// Outputs of the signature that are pooled inside the session, and how.
    pub fused_outputs: &'a [FusedOutput],
    /// Where to run. A backend runs there or fails; it never chooses another device.
    pub device: Device,
    /// Arithmetic to use. A backend uses it or fails. For [`Precision::Int8`] the file holds quantised weights, and the
    /// backend does the rest of the arithmetic in whatever the device is fastest at.
    pub precision: Precision,
    /// Threads for one inference; from the cgroup, not the host's core count.
    pub threads: usize,
    /// How rows of different lengths share a batch; `None` when all rows have one shape.
    pub ragged: Option<&'a Ragged>,
    /// Shapes that the session is compiled for, in any order; empty for free axes. Inputs are filled up to the smallest that
    /// fits. For devices that take no free axes (NPUs).
    pub static_shapes: &'a [StaticShape],
    /// A folder where the backend may keep what it compiled, for this model file alone; `None` keeps nothing.
    pub compiled: Option<&'a Path>,
    /// Bytes of device memory that the session may take; `None` for as much as it needs.
    pub memory_limit_bytes: Option<u64>,
}

impl<'a> LoadRequest<'a> {
    /// Onto the CPU in f32, one thread, with free axes and nothing that is optional.
    #[must_use]
    pub const fn plain(model: &'a str, file: &'a Path, format: ModelFormat, signature: &'a Signature) -> Self {
        Self {
            model,
            file,
            format,
            architecture: None,
            signature,
            fused_outputs: &[],
            device: Device::Cpu,
            precision: Precision::F32,
            threads: 1,
            ragged: None,
            static_shapes: &[],
            compiled: None,
            memory_limit_bytes: None,
        }
    }

    /// Checks that the file, whose signature was found to be `found`, has what the manifest promises.
    ///
    /// # Errors
    /// [`BackendError::Model`] with the first difference.
    pub fn check_promises(&self, found: &Signature) -> Result<(), BackendError> {
        self.signature.check_promises(found).map_err(|broken| BackendError::Model {
            model: self.model.to_owned(),
            file: self.file.to_owned(),
            reason: format!("{broken}; the manifest and the file do not belong together"),
        })
    }
}

/// What a loaded session is: the facts that responses, metrics and the scheduler need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Backend and device that really run the model.
    pub placement: Placement,
    /// The precision that was asked for: of the arithmetic, or of the weights alone where a processor has no such arithmetic
    /// and they are widened on the way (Candle on the CPU).
    pub precision: Precision,
    /// Inputs and outputs.
    pub signature: Signature,
    /// Layouts that [`Session::run`] takes, best first.
    pub layouts: Vec<Layout>,
    /// Outputs that are pooled inside the session.
    pub fused_outputs: Vec<FusedOutput>,
    /// Version of the library that runs it.
    pub library_version: String,
}

/// Stops a running inference from another thread; calling it when nothing runs has no effect on the next run.
pub trait Cancel: Send + Sync {
    /// Asks the inference in progress to end early with [`BackendError::Cancelled`].
    fn cancel(&self);
}

/// A model loaded on a device. Owned by one worker thread; native sessions are not safe to share.
pub trait Session: Send {
    /// What this session is.
    fn info(&self) -> &SessionInfo;

    /// Runs one inference and returns the outputs in the order of the signature.
    ///
    /// A session checks what only it can know; names, types and shapes of padded inputs were checked against
    /// [`SessionInfo::signature`] by the caller, and are checked again here so that no caller can crash a native library.
    ///
    /// # Errors
    /// [`BackendError`]; the session stays usable after every error.
    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError>;

    /// A handle that cancels the inference in progress, if the backend can.
    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        None
    }
}

/// A library that can run models.
pub trait Backend: Send + Sync {
    /// Its id.
    fn id(&self) -> BackendId;

    /// Formats it reads, best first.
    fn formats(&self) -> &'static [ModelFormat];

    /// What was found on this machine. Never fails: absence is a finding.
    fn probe(&self) -> BackendReport;

    /// Version of its library; `None` when the library is not usable.
    fn version(&self) -> Option<String> {
        self.probe().version
    }

    /// What was found of one device, as [`Backend::probe`] says it and no slower than that device makes it. `None` for a
    /// device that the backend does not look for; loading a model onto it says why.
    fn report(&self, device: Device) -> Option<DeviceReport> {
        self.probe().devices.into_iter().find(|report| report.device == device)
    }

    /// Whether a precision is a way to be faster on a device, and not only to hold weights in less memory. Where nobody says
    /// which precision to use, no other is looked at.
    fn accelerates(&self, device: Device, precision: Precision) -> bool {
        let _ = (device, precision);
        true
    }

    /// Inputs and outputs of a model file as its own format declares them, for models that have no manifest yet.
    ///
    /// # Errors
    /// [`BackendError`] naming the library or file and the remedy.
    fn inspect(&self, file: &Path, format: ModelFormat) -> Result<Signature, BackendError> {
        let _ = file;
        Err(BackendError::Unsupported { backend: self.id(), what: format!("reading the signature of {format} files") })
    }

    /// Loads a model onto exactly the requested device and precision.
    ///
    /// # Errors
    /// [`BackendError`] naming the library, file or device and the remedy.
    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Session>, BackendError>;
}

/// What a backend found when it looked for its library and devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendId,
    /// Version of its library, if loaded.
    pub version: Option<String>,
    /// Where the library lies; `None` for what is compiled in.
    pub library: Option<PathBuf>,
    /// Each device it could run on.
    pub devices: Vec<DeviceReport>,
}

/// Whether a device can be used, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The device.
    pub device: Device,
    /// What the device calls itself, such as `NVIDIA H100`; `None` when the library does not say.
    pub name: Option<String>,
    /// `None` when it can be used; otherwise what is missing and what to do.
    pub missing: Option<String>,
    /// Precisions it can run in.
    pub precisions: Vec<Precision>,
}
