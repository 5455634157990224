//! The additive interfaces of `wisp:inference`: facts about granted models, tokenising in the host, and what a
//! deployment keeps.

mod models;
mod state;
mod tokenizer;

pub use tokenizer::Encoding;

use wisp_core::Kinded;

use crate::bindings::wisp::inference::types::{Error, Host};
use crate::convert::wit_kind;
use crate::state::State;

impl Host for State {}

impl State {
    /// A failure as the guest reads it.
    pub(crate) fn wit_error(&mut self, error: &(impl Kinded + ToString)) -> Error {
        let (kind, message) = (error.kind(), error.to_string());
        self.account.note_failure(kind, &message);
        Error { kind: wit_kind(kind), message }
    }
}
