//! `wasi:nn/errors`: a code and a message behind a handle.

use wasmtime::component::Resource;
use wisp_core::{ErrorKind, Kinded};

use crate::bindings::wasi::nn::errors::{ErrorCode, Host, HostError};
use crate::convert::nn_code;
use crate::error::CallError;
use crate::state::State;

/// An error as the guest holds it.
pub struct NnError {
    kind: ErrorKind,
    message: String,
}

impl State {
    /// Puts a failure where the guest can read it.
    pub(crate) fn nn_error(&mut self, error: &(impl Kinded + ToString)) -> wasmtime::Result<Resource<NnError>> {
        let (kind, message) = (error.kind(), error.to_string());
        self.note_failure(kind, &message);
        self.push(NnError { kind, message })
    }

    /// Puts anything into the handle table, within the limit on handles.
    pub(crate) fn push<T: Send + 'static>(&mut self, value: T) -> wasmtime::Result<Resource<T>> {
        self.table.push(value).map_err(|_| {
            let (deployment, limit) = (self.deployment.to_string(), self.limits.handles);
            CallError::Handles { deployment, limit }.into()
        })
    }
}

impl Host for State {}

impl HostError for State {
    fn code(&mut self, error: Resource<NnError>) -> wasmtime::Result<ErrorCode> {
        Ok(nn_code(self.table.get(&error)?.kind))
    }

    fn data(&mut self, error: Resource<NnError>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.message.clone())
    }

    fn drop(&mut self, error: Resource<NnError>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}
