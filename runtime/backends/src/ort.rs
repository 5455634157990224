//! ONNX Runtime: ONNX graphs on the CPU and on NVIDIA's GPUs, with the library loaded at run time.
//!
//! A process has one ONNX Runtime, the first that is opened. The build with CUDA runs on the CPU as well, so a process that
//! needs the GPU opens that one, whatever its first model runs on.

mod arithmetic;
mod binding;
mod failure;
mod gpu;
mod inspect;
mod library;
mod placement;
mod session;
mod value;

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::session::builder::{BuilderResult, GraphOptimizationLevel, SessionBuilder};
use wisp_core::{
    Backend, BackendError, BackendId, BackendReport, Device, DeviceReport, LoadRequest, ModelFormat, Precision,
    Signature,
};

use arithmetic::Arithmetic;
use library::Library;
use placement::PlacementLog;
use session::OrtSession;

/// Precisions that files for the CPU may have.
const CPU_PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Int8];

/// The backend `ort`. The library is opened on first use and stays open for the life of the process.
pub(crate) struct OrtBackend {
    library: Option<PathBuf>,
    /// Folders of NVIDIA's libraries.
    cuda: Vec<PathBuf>,
}

impl OrtBackend {
    pub(crate) fn new(library: Option<PathBuf>, cuda: Vec<PathBuf>) -> Self {
        Self { library, cuda }
    }

    fn library(&self) -> Result<&'static Library, BackendError> {
        library::open(self.library.as_deref())
    }

    fn gpus(&self) -> gpu::Gpus {
        let opened = self.library();
        let path = opened.as_ref().map_or(self.library.clone(), |library| Some(library.path.clone()));
        gpu::find(opened.map_err(|error| error.to_string()), path.as_deref(), &self.cuda)
    }

    fn load_on_cpu(&self, request: &LoadRequest<'_>) -> Result<OrtSession, BackendError> {
        let library = self.library()?;
        let mut builder = configured(library, request)?;
        let session = builder.commit_from_file(request.file).map_err(|error| failure::of_load(&error, request))?;
        OrtSession::new(session, library, request)
    }

    /// Loads onto the GPU, and fails when operators landed elsewhere.
    fn load_on_gpu(&self, request: &LoadRequest<'_>, index: u32) -> Result<OrtSession, BackendError> {
        self.gpus().check(index)?;
        let library = self.library()?;
        let log = PlacementLog::new();
        let builder = configured(library, request)?
            .with_execution_providers([gpu::provider(index, request)?])
            .map_err(|error| failure::of_provider(&error, request.device))?;
        let mut builder = placement::listen(builder, &log).map_err(|error| failure::general(&error))?;
        let session = builder.commit_from_file(request.file).map_err(|error| failure::of_load(&error, request))?;
        let placements = log.finish();
        tracing::debug!(model = request.model, operators = placements.count(gpu::PROVIDER), "operators on the GPU");
        placements.check_device(gpu::PROVIDER).map_err(|reason| BackendError::Device {
            backend: BackendId::Ort,
            device: request.device,
            reason: format!("{reason}; place model `{}` on ort:cpu, or export it without them", request.model),
        })?;
        OrtSession::new(session, library, request)
    }
}

impl Backend for OrtBackend {
    fn id(&self) -> BackendId {
        BackendId::Ort
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn probe(&self) -> BackendReport {
        let opened = self.library();
        let mut devices = vec![DeviceReport {
            device: Device::Cpu,
            name: None,
            missing: opened.as_ref().err().map(ToString::to_string),
            precisions: CPU_PRECISIONS.to_vec(),
        }];
        devices.extend(self.gpus().report());
        BackendReport {
            backend: BackendId::Ort,
            version: opened.as_ref().ok().map(|library| library.version.clone()),
            library: opened.as_ref().map_or(self.library.clone(), |library| Some(library.path.clone())),
            devices,
        }
    }

    fn inspect(&self, file: &Path, format: ModelFormat) -> Result<Signature, BackendError> {
        refuse_format(format)?;
        inspect::signature(self.library()?, file)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn wisp_core::Session>, BackendError> {
        refuse_unsupported(request)?;
        let session = match request.device {
            Device::Gpu(index) => self.load_on_gpu(request, index),
            _ => self.load_on_cpu(request),
        };
        Ok(Box::new(session?))
    }
}

fn unsupported(what: String) -> BackendError {
    BackendError::Unsupported { backend: BackendId::Ort, what }
}

fn refuse_format(format: ModelFormat) -> Result<(), BackendError> {
    match format {
        ModelFormat::Onnx => Ok(()),
        format => Err(unsupported(format!("format {format}; it reads onnx"))),
    }
}

/// Everything that this backend does not do, before the library is even opened.
fn refuse_unsupported(request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let precisions = match request.device {
        Device::Cpu => &CPU_PRECISIONS,
        Device::Gpu(_) => &gpu::PRECISIONS,
        device => {
            return Err(BackendError::Device {
                backend: BackendId::Ort,
                device,
                reason: "ONNX Runtime runs on the CPU and on NVIDIA's GPUs; place the model on ort:cpu or ort:gpu:0"
                    .to_owned(),
            });
        }
    };
    refuse_format(request.format)?;
    let (precision, device) = (request.precision, request.device);
    if !precisions.contains(&precision) {
        let names: Vec<_> = precisions.iter().map(|precision| precision.name()).collect();
        return Err(unsupported(format!("precision {precision} on {device}; use {}", names.join(" or "))));
    }
    refuse_other_arithmetic(request)
}

/// ONNX Runtime computes in the types of the file, so a precision other than f32 is a property of the file. An f32 request is
/// not checked: it is the default, and what a quantised file would get wrong under it, the golden vectors find.
fn refuse_other_arithmetic(request: &LoadRequest<'_>) -> Result<(), BackendError> {
    if request.precision == Precision::F32 {
        return Ok(());
    }
    let arithmetic = Arithmetic::of(request.file).map_err(|reason| BackendError::Model {
        model: request.model.to_owned(),
        file: request.file.to_owned(),
        reason,
    })?;
    match arithmetic.precision() {
        made_for if made_for == request.precision => Ok(()),
        made_for => Err(unsupported(format!(
            "precision {} with {}, whose arithmetic is {made_for}: ONNX Runtime computes as the file says; convert the file",
            request.precision,
            request.file.display()
        ))),
    }
}

fn configured(library: &Library, request: &LoadRequest<'_>) -> Result<SessionBuilder, BackendError> {
    let builder = Session::builder(&library.environment).map_err(|error| failure::general(&error))?;
    configure(builder, request).map_err(|error| failure::general(&error))
}

#[expect(clippy::result_large_err, reason = "the type is the one that the builder's methods return")]
fn configure(builder: SessionBuilder, request: &LoadRequest<'_>) -> BuilderResult {
    builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(request.threads)?
        .with_inter_threads(1)?
        // Idle threads that spin take the processor from guests and from other sessions in the same cgroup.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // Memory patterns are planned per input shape; with free axes each new shape would plan and keep one more.
        .with_memory_pattern(false)
}
