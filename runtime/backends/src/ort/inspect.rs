//! The signature that an ONNX file declares, for models that have no manifest yet.

use std::path::Path;

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, ValueType};
use wisp_core::{Axis, BackendError, BackendId, Signature, TensorSpec};

use super::library::Library;
use super::{failure, value};

/// Opens the file and reads its inputs and outputs. The graph is checked, and neither optimised nor run.
///
/// An output whose rank the file leaves open comes back without axes: ONNX Runtime does not tell it from a scalar.
pub(super) fn signature(library: &Library, file: &Path) -> Result<Signature, BackendError> {
    let session = Session::builder(&library.environment)
        .and_then(|builder| Ok(builder.with_optimization_level(GraphOptimizationLevel::Disable)?))
        .and_then(|builder| Ok(builder.with_intra_threads(1)?))
        .map_err(|error| failure::general(&error))?
        .commit_from_file(file)
        .map_err(|error| BackendError::Model {
            model: file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned(),
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
    of_outlets(session.inputs(), session.outputs())
}

/// The signature of a loaded graph, less the outputs that nobody asked for: they may be of types that Wisp does not pass.
pub(super) fn promised(session: &Session, wanted: &Signature) -> Result<Signature, BackendError> {
    let is_wanted = |outlet: &&Outlet| wanted.outputs.iter().any(|spec| spec.name == outlet.name());
    match session.outputs().iter().filter(is_wanted).count() == wanted.outputs.len() {
        true => of_outlets(session.inputs(), session.outputs().iter().filter(is_wanted)),
        // One is missing; which, and what there is instead, shows in all of them.
        false => of_outlets(session.inputs(), session.outputs()),
    }
}

fn of_outlets<'o>(inputs: &[Outlet], outputs: impl IntoIterator<Item = &'o Outlet>) -> Result<Signature, BackendError> {
    let inputs = inputs.iter().map(|outlet| spec("input", outlet)).collect::<Result<_, _>>()?;
    let outputs = outputs.into_iter().map(|outlet| spec("output", outlet)).collect::<Result<_, _>>()?;
    Ok(Signature { inputs, outputs })
}

fn spec(kind: &str, outlet: &Outlet) -> Result<TensorSpec, BackendError> {
    let name = outlet.name().to_owned();
    let unsupported = |what: String| BackendError::Unsupported { backend: BackendId::Ort, what };
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(unsupported(format!("{kind} `{name}` of type {}; Wisp passes tensors", outlet.dtype())));
    };
    let data_type = value::data_type(*ty).ok_or_else(|| {
        unsupported(format!("{kind} `{name}` of element type {ty}; export it as f16, bf16, f32, f64, u8, i32 or i64"))
    })?;
    // A free axis is -1; no file declares a length that `usize` cannot hold.
    let axis = |&length: &i64| usize::try_from(length).map_or(Axis::Free, Axis::Fixed);
    Ok(TensorSpec { name, data_type, shape: shape.iter().map(axis).collect(), below: None })
}
