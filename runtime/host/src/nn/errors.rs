//! `wasi:nn/errors`: a code and a message behind a handle.

use wasmtime::Result;
use wasmtime::component::Resource;
use wisp_core::Kinded;

use crate::bindings::wasi::nn::errors::{ErrorCode, Host, HostError};
use crate::convert::nn_code;
use crate::error::CallError;
use crate::state::State;

/// Longest message that is kept for a guest, in bytes. Names that it chose stand in some, and it may hold many.
const MESSAGE_LIMIT_BYTES: usize = 4096;

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
        let message = cut(error.to_string());
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

/// The message as far as it is kept.
fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_LIMIT_BYTES));
        message.push('…');
        // Otherwise the memory of the rest would be kept, too.
        message.shrink_to_fit();
    }
    message
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_as_far_as_the_limit() {
        assert_eq!(cut("input `x` is missing".to_owned()), "input `x` is missing");
        let message = cut("ä".repeat(1_000_000));
        assert_eq!(message.chars().count(), MESSAGE_LIMIT_BYTES / 2 + 1);
        assert!(message.ends_with("ä…") && message.capacity() < 2 * MESSAGE_LIMIT_BYTES);
    }
}
