//! What a module exports, read from its bytes without compiling them.

use wasmparser::{Parser, Payload};

use crate::compiled::ModuleKind;
use crate::{GuestKind, HostError, offer};

/// Names that a component itself, and not one inside it, exports. What is malformed ends the list: the compiler says why.
pub(crate) fn of_component(wasm: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentExportSection(exports)) if depth == 0 => {
                names.extend(exports.into_iter().map_while(Result::ok).map(|export| export.name.name.to_owned()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    names
}

/// What a guest with these exports is made to be called as.
pub(crate) fn kind(exports: &[String]) -> Option<GuestKind> {
    let has = |interface: &str| exports.iter().any(|export| export.split('@').next() == Some(interface));
    if has("wisp:inference/embedding") {
        Some(GuestKind::Embedder)
    } else if has("wisp:inference/classification") {
        Some(GuestKind::Classifier)
    } else if has("wasi:http/incoming-handler") {
        Some(GuestKind::Http)
    } else if has("wasi:cli/run") {
        Some(GuestKind::Program)
    } else {
        None
    }
}

/// What a module is made to be called as, before it is loaded.
///
/// # Errors
/// [`HostError`] for bytes that are no module, or one that exports nothing that could be called.
pub fn kind_of(name: &str, wasm: &[u8]) -> Result<GuestKind, HostError> {
    match ModuleKind::detect(name, wasm, usize::MAX)? {
        ModuleKind::Core => Ok(GuestKind::Program),
        ModuleKind::Component => {
            let exports = of_component(wasm);
            let nothing = || HostError::Link { guest: name.to_owned(), reason: offer::nothing_to_call(&exports) };
            kind(&exports).ok_or_else(nothing)
        }
    }
}
