//! Tensors that the host keeps for the deployment from one request to the next.
//!
//! What is kept can be gone at any time, so whoever [`get`]s nothing makes it anew and [`put`]s it. Using it imports
//! `wisp:inference/state`; a guest that must run on any WASI-NN host does without.

use crate::bindings::classifier::wisp::inference::state;
use crate::error::Error;
use crate::tensor::Tensor;

/// Keeps a copy of a tensor under a key, in place of what was kept there.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the deployment may keep nothing,
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) where the tensor alone is beyond its bound. A guest that keeps things to
/// save work goes on without.
pub fn put(key: &str, tensor: &Tensor<'_>) -> Result<(), Error> {
    let (_, tensor) = tensor.named("")?;
    Ok(state::put(key, &tensor)?)
}

/// The tensor that is kept under a key.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the host's bytes do not fit its own shape.
pub fn get(key: &str) -> Result<Option<Tensor<'static>>, Error> {
    state::get(key).map(|tensor| Tensor::from_host(&tensor)).transpose()
}

/// Forgets what is kept under a key; whether there was something.
pub fn evict(key: &str) -> bool {
    state::evict(key)
}
