//! ONNX Runtime: ONNX graphs on the CPU, with the library loaded at run time.

mod library;
mod session;
mod value;

use std::path::PathBuf;

use ort::session::Session;
use ort::session::builder::{BuilderResult, GraphOptimizationLevel, SessionBuilder};
use wisp_core::{
    Backend, BackendError, BackendId, BackendReport, Device, DeviceReport, LoadRequest, ModelFormat, Precision,
};

use library::Library;
use session::OrtSession;

/// The backend `ort`. The library is opened on first use and stays open for the life of the process.
pub(crate) struct OrtBackend {
    library: Option<PathBuf>,
}

impl OrtBackend {
    pub(crate) fn new(library: Option<PathBuf>) -> Self {
        Self { library }
    }

    fn library(&self) -> Result<&'static Library, BackendError> {
        library::open(self.library.as_deref())
    }

    fn build(&self, request: &LoadRequest<'_>) -> Result<(Session, &'static Library), BackendError> {
        let library = self.library()?;
        let session = Session::builder(&library.environment)
            .map_err(|error| run_error(&error))
            .and_then(|builder| configure(builder, request).map_err(|error| run_error(&error)))
            .and_then(|mut builder| {
                builder.commit_from_file(request.file).map_err(|error| BackendError::Model {
                    model: request.model.to_owned(),
                    file: request.file.to_owned(),
                    reason: error.to_string(),
                })
            })?;
        Ok((session, library))
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
        BackendReport {
            backend: BackendId::Ort,
            version: opened.as_ref().ok().map(|library| library.version.clone()),
            library: opened.as_ref().map_or(self.library.clone(), |library| Some(library.path.clone())),
            devices: vec![DeviceReport {
                device: Device::Cpu,
                name: None,
                missing: opened.err().map(|error| error.to_string()),
                precisions: vec![Precision::F32],
            }],
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn wisp_core::Session>, BackendError> {
        refuse_unsupported(request)?;
        let (session, library) = self.build(request)?;
        Ok(Box::new(OrtSession::new(session, library, request)?))
    }
}

/// Everything that this backend does not do, before the library is even opened.
fn refuse_unsupported(request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let unsupported = |what: String| Err(BackendError::Unsupported { backend: BackendId::Ort, what });
    if request.device != Device::Cpu {
        return Err(BackendError::Device {
            backend: BackendId::Ort,
            device: request.device,
            reason: "this build runs ONNX Runtime on the CPU only; place the model on ort:cpu".to_owned(),
        });
    }
    match (request.format, request.precision) {
        (ModelFormat::Onnx, Precision::F32) => Ok(()),
        (ModelFormat::Onnx, precision) => unsupported(format!("precision {precision} on cpu; use f32")),
        (format, _) => unsupported(format!("format {format}; it reads onnx")),
    }
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

/// Any failure of the library that is not the model file's.
fn run_error<T>(error: &ort::Error<T>) -> BackendError {
    BackendError::Run { backend: BackendId::Ort, reason: error.to_string() }
}
