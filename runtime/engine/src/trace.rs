//! What the engine tells whoever observes a request: what it is, who answers it, and what came of it.

use wisp_core::Kinded;
use wisp_scheduler::observe::{self, Fact, Observer};

use crate::metrics::{Method, code};
use crate::{EmbedResponse, EngineError, InferResponse, PlacementReport};

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
    observe::tell(|observer| {
        observer.note(Fact::Tokens(response.token_counts.iter().map(|&tokens| u64::from(tokens)).sum()));
        ran(observer, response.placement.as_ref());
    });
}

/// Tensors were computed.
pub(crate) fn inferred(response: &InferResponse) {
    observe::tell(|observer| ran(observer, response.placement.as_ref()));
}

fn ran(observer: &dyn Observer, placement: Option<&PlacementReport>) {
    if let Some(PlacementReport { model, placement, precision }) = placement {
        observer.note(Fact::Ran { model, placement: *placement, precision: *precision });
    }
}

/// There is no answer.
pub(crate) fn failed(error: &EngineError) {
    observe::tell(|observer| {
        observer.note(Fact::Failure { code: code(error.kind()), message: &error.to_string() });
    });
}
