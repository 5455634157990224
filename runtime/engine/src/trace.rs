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
    tokens(response.token_counts.iter().copied());
    ran(response.placement.as_ref());
}

/// Texts or images were classified.
pub(crate) fn classified(response: &ClassifyResponse) {
    tokens(response.classifications.iter().map(|one| one.tokens));
    ran(response.placement.as_ref());
}

/// This is what ran, if anything did.
pub(crate) fn ran(placement: Option<&PlacementReport>) {
    let Some(PlacementReport { model, placement, precision }) = placement else { return };
    observe::tell(|observer| {
        observer.note(Fact::Ran { model, placement: *placement, precision: *precision });
    });
}

fn tokens(counts: impl Iterator<Item = u32>) {
    observe::tell(|observer| observer.note(Fact::Tokens(counts.map(u64::from).sum())));
}

/// There is no answer.
pub(crate) fn failed(error: &EngineError) {
    observe::tell(|observer| {
        observer.note(Fact::Failure { code: code(error.kind()), message: &error.to_string() });
    });
}
