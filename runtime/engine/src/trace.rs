//! What the engine tells whoever observes a request: what it is, who answers it, and what came of it.

use wisp_core::Kinded;
use wisp_scheduler::observe::{self, Fact};

use crate::metrics::{Method, code};
use crate::{ClassifyResponse, EmbedResponse, EngineError, PlacementReport};

/// So many inputs came, and what is wanted for them.
pub(crate) fn asked(method: Method, inputs: usize) {
    observe::tell(|observer| {
        observer.note(Fact::Method(method.name()));
        observer.note(Fact::Inputs(inputs));
    });
}

/// This deployment answers.
pub(crate) fn answers(deployment: &str) {
    observe::tell(|observer| observer.note(Fact::Deployment(deployment)));
}

/// Texts were embedded.
pub(crate) fn embedded(response: &EmbedResponse) {
    ran(response.token_counts.iter().copied(), response.placement.as_ref());
}

/// Texts or images were classified.
pub(crate) fn classified(response: &ClassifyResponse) {
    ran(response.classifications.iter().map(|one| one.tokens), response.placement.as_ref());
}

fn ran(tokens: impl Iterator<Item = u32>, placement: Option<&PlacementReport>) {
    observe::tell(|observer| {
        observer.note(Fact::Tokens(tokens.map(u64::from).sum()));
        if let Some(PlacementReport { model, placement, precision }) = placement {
            observer.note(Fact::Ran { model, placement: *placement, precision: *precision });
        }
    });
}

/// There is no answer.
pub(crate) fn failed(error: &EngineError) {
    observe::tell(|observer| {
        observer.note(Fact::Failure { code: code(error.kind()), message: &error.to_string() });
    });
}
