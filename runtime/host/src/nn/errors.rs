//! `wasi:nn/errors`: a code and a message behind a handle.

use wasmtime::Result;
use wasmtime::component::Resource;
use wisp_core::Kinded;

use crate::bindings::wasi::nn::errors::{ErrorCode, Host, HostError};
use crate::convert::nn_code;
use crate::error::CallError;
use crate::state::State;

/// An error as the guest holds it.
pub struct NnError {
    code: ErrorCode,
    message: String,
}

impl State {
    /// Puts a failure where the guest can read it.
    pub(crate) fn nn_error(&mut self, error: &(impl Kinded + ToString)) -> Result<Resource<NnError>> {
        self.coded_error(nn_code(error.kind()), error)
    }

    /// A failure whose cause is the encoding of a model.
    pub(crate) fn encoding_error(&mut self, error: &(impl Kinded + ToString)) -> Result<Resource<NnError>> {
        self.coded_error(ErrorCode::InvalidEncoding, error)
    }

    fn coded_error(&mut self, code: ErrorCode, error: &(impl Kinded + ToString)) -> Result<Resource<NnError>> {
        let message = error.to_string();
        self.account.note_failure(error.kind(), &message);
        self.push(NnError { code, message })
    }

    /// Puts anything into the handle table, within the limit on handles.
    pub(crate) fn push<T: Send + 'static>(&mut self, value: T) -> Result<Resource<T>> {
        self.table.push(value).map_err(|_| {
            let (deployment, limit) = (self.account.deployment.to_string(), self.account.limits.handles);
            CallError::Handles { deployment, limit }.into()
        })
    }
}

impl Host for State {}

impl HostError for State {
    fn code(&mut self, error: Resource<NnError>) -> Result<ErrorCode> {
        Ok(self.table.get(&error)?.code)
    }

    fn data(&mut self, error: Resource<NnError>) -> Result<String> {
        Ok(self.table.get(&error)?.message.clone())
    }

    fn drop(&mut self, error: Resource<NnError>) -> Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}
