//! OpenVINO: IR, ONNX and TensorFlow Lite on Intel and Arm processors, Intel GPUs and NPUs, with the library loaded at run time.

mod compile;
mod device;
mod library;
mod nodes;
mod port;
mod processor;
mod session;
mod shapes;
mod value;

use std::path::{Path, PathBuf};

use openvino::{Core, InferenceError};
use wisp_core::{
    Backend, BackendError, BackendId, BackendReport, Device, DeviceReport, LoadRequest, ModelFormat, Session, Signature,
};

use library::Library;
use session::OpenVinoSession;

/// The backend `openvino`. The library is opened on first use and stays open for the life of the process.
pub(crate) struct OpenVinoBackend {
    library: Option<PathBuf>,
}

impl OpenVinoBackend {
    pub(crate) fn new(library: Option<PathBuf>) -> Self {
        Self { library }
    }

    fn open(&self) -> Result<(Core, &'static Library), BackendError> {
        let library = library::open(self.library.as_deref())?;
        Ok((library.core()?, library))
    }
}

impl Backend for OpenVinoBackend {
    fn id(&self) -> BackendId {
        BackendId::OpenVino
    }

    fn formats(&self) -> &'static [ModelFormat] {
        // IR loads faster than ONNX; both compute the same.
        &[ModelFormat::OpenVino, ModelFormat::Onnx, ModelFormat::TfLite]
    }

    fn probe(&self) -> BackendReport {
        let opened = self.open();
        let library = opened.as_ref().ok().map(|(_, library)| *library);
        BackendReport {
            backend: BackendId::OpenVino,
            version: library.map(|library| library.version.clone()),
            library: library.map(|library| library.path.clone()).or_else(|| self.library.clone()),
            devices: match opened {
                Ok((core, _)) => device::reports(&core),
                Err(error) => device::none_of_them(&error.to_string()),
            },
        }
    }

    fn version(&self) -> Option<String> {
        self.open().ok().map(|(_, library)| library.version.clone())
    }

    fn report(&self, device: Device) -> Option<DeviceReport> {
        Some(match self.open() {
            Ok((core, _)) => device::report(&core, device),
            Err(error) => device::absent(device, &error.to_string()),
        })
    }

    fn inspect(&self, file: &Path, format: ModelFormat) -> Result<Signature, BackendError> {
        refuse_format(format)?;
        let (mut core, _) = self.open()?;
        compile::read(&mut core, "import", file).and_then(|model| compile::signature(&model, "import", file))
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Session>, BackendError> {
        refuse_format(request.format)?;
        let (core, library) = self.open()?;
        let compiled = compile::compile(core, request)?;
        Ok(Box::new(OpenVinoSession::new(compiled, library, request)?))
    }
}

fn refuse_format(format: ModelFormat) -> Result<(), BackendError> {
    match format {
        ModelFormat::OpenVino | ModelFormat::Onnx | ModelFormat::TfLite => Ok(()),
        ModelFormat::Safetensors => Err(BackendError::Unsupported {
            backend: BackendId::OpenVino,
            what: format!("format {format}; it reads openvino, onnx and tflite"),
        }),
    }
}

/// Any failure of the library that is neither the model file's nor the device's.
fn run_error(error: &InferenceError) -> BackendError {
    BackendError::Run { backend: BackendId::OpenVino, reason: message(error) }
}

/// The library's message in one line, without the source locations of OpenVINO's own code.
fn message(error: &InferenceError) -> String {
    let text = error.message.clone().unwrap_or_else(|| error.kind.to_string());
    let is_location = |line: &str| line.starts_with("Exception from src/") || line.starts_with("Check '");
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told: Vec<_> = lines.iter().copied().filter(|line| !line.starts_with("Exception from src/")).collect();
    let chosen = if told.iter().all(|line| is_location(line)) { lines } else { told };
    chosen.join(" ")
}

#[cfg(test)]
mod tests {
    use openvino::InferenceErrorKind;

    use super::*;

    #[test]
    fn messages_lose_the_locations_in_openvino_and_keep_the_rest() {
        let error = |message: Option<&str>| InferenceError {
            kind: InferenceErrorKind::GeneralError,
            message: message.map(str::to_owned),
        };
        let told = "Exception from src/inference/src/cpp/core.cpp:97:\nException from src/core.cpp:1:\nUnable to read the model: /m\n\n";
        assert_eq!(message(&error(Some(told))), "Unable to read the model: /m");
        assert_eq!(message(&error(Some("Check 'x' failed"))), "Check 'x' failed");
        assert_eq!(message(&error(None)), "general error");
    }
}
