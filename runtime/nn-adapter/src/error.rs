//! Why a guest's call failed.

use std::error::Error;

use wasmtime_wasi_nn::backend::BackendError;
use wisp_core::{ErrorKind, Kinded, TensorError};
use wisp_scheduler::ScheduleError;

/// What is behind a [`BackendError::BackendAccess`] of this crate; `downcast_ref` finds it there.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A tensor's bytes do not fit its shape.
    #[error("input `{name}`: {source}")]
    Malformed {
        /// The input.
        name: String,
        /// What is wrong with it.
        source: TensorError,
    },
    /// The model has no such input.
    #[error("input {id} does not exist; the model takes {expected}, counted from 0")]
    NoInput {
        /// Index or name as given.
        id: String,
        /// All names.
        expected: String,
    },
    /// The model has no such output.
    #[error("output {id} does not exist; the model gives {expected}, counted from 0")]
    NoOutput {
        /// Index or name as given.
        id: String,
        /// All names.
        expected: String,
    },
    /// There is no answer to take outputs from.
    #[error("there is no output yet, because nothing was computed or the last compute failed; compute first")]
    NotComputed,
    /// An output is longer than guests can be told.
    #[error("output `{name}` has an axis of {axis}, which does not fit the 32 bits that guests count by")]
    Axis {
        /// The output.
        name: String,
        /// Length of the axis.
        axis: usize,
    },
    /// The guest holds as much as its terms allow.
    #[error("the guest holds its limit of {limit} {what}; the terms of its graph can raise it")]
    Full {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// There is nothing to start.
    #[error("the guest's {encoding} model has no part, or an empty one; give all of its bytes")]
    EmptyModel {
        /// What the guest says it is.
        encoding: String,
    },
    /// The host's function did not start a model.
    #[error("the guest's model was not started: {0}")]
    Load(Box<dyn Error + Send + Sync>),
    /// The scheduler or the session failed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl Kinded for AdapterError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { source, .. } => source.kind(),
            Self::NoInput { .. } | Self::NoOutput { .. } | Self::NotComputed | Self::EmptyModel { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::Axis { .. } => ErrorKind::TooLarge,
            Self::Full { .. } => ErrorKind::ResourceExhausted,
            Self::Load(_) => ErrorKind::Internal,
            Self::Schedule(error) => error.kind(),
        }
    }
}

impl From<AdapterError> for BackendError {
    fn from(error: AdapterError) -> Self {
        Self::BackendAccess(error.into())
    }
}
