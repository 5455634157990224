//! How deep blocks are nested in a module: the one thing in a valid module whose cost to compile grows with its square.

use wasmparser::{Operator, Parser, Payload};

use crate::HostError;

/// Deepest nesting that is compiled. A `match` of some thousand arms comes near it; at ten times as much, a module of 300 KB would
/// keep the compiler busy for minutes.
const LIMIT: usize = 10_000;

/// Refuses a module that is nested deeper. What is malformed passes: the compiler says what is wrong with it.
pub(crate) fn check(guest: &str, wasm: &[u8]) -> Result<(), HostError> {
    match is_too_deep(wasm) {
        Ok(true) => {
            let reason = format!("its blocks are nested deeper than {LIMIT}; split the function");
            Err(HostError::Compile { guest: guest.to_owned(), reason })
        }
        Ok(false) | Err(_) => Ok(()),
    }
}

fn is_too_deep(wasm: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        let mut depth = 0_usize;
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                    depth += 1
                }
                Operator::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > LIMIT {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
