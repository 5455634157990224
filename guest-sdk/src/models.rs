//! What the host knows about a granted model.
//!
//! Calling [`describe`] imports `wisp:inference/models`; a guest that must run on any WASI-NN host does without.

pub use crate::bindings::wisp::inference::models::{ModelInfo, Pooling, TensorInfo};

use crate::error::Error;

/// Describes the model that is granted under `alias`.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) when the deployment was not granted it,
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it does not exist.
pub fn describe(alias: &str) -> Result<ModelInfo, Error> {
    Ok(crate::bindings::wisp::inference::models::describe(alias)?)
}

/// Most rows that one `compute` with this model may carry, where the grant bounds them.
///
/// # Errors
/// As [`describe`].
pub fn max_rows(alias: &str) -> Result<Option<u32>, Error> {
    Ok(crate::bindings::wisp::inference::models::max_rows(alias)?)
}
