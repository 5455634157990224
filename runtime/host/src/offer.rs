//! What this host offers to import, and what it asks to be exported: checked by name before linking, because the linker's own
//! message names a function, and not what would help.

use wasmtime::component::Component;
use wasmtime::{Engine, ExternType, Module};

use crate::{HostError, witx};

/// Packages whose interfaces are offered in any version that is compatible with 0.2.
const WASI: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// Interfaces that are offered in exactly this version.
const EXACT: [&str; 8] = [
    "wasi:nn/errors@0.2.0-rc-2024-10-28",
    "wasi:nn/graph@0.2.0-rc-2024-10-28",
    "wasi:nn/inference@0.2.0-rc-2024-10-28",
    "wasi:nn/tensor@0.2.0-rc-2024-10-28",
    "wisp:inference/models@0.1.0",
    "wisp:inference/state@0.1.0",
    "wisp:inference/tokenizer@0.1.0",
    "wisp:inference/types@0.1.0",
];

/// The module of WASI preview 1.
const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// Names of imports that a message holds at most.
const NAMED_LIMIT: usize = 5;

/// Refuses a component that imports what is not offered, by name.
pub(crate) fn check_imports(engine: &Engine, guest: &str, component: &Component) -> Result<(), HostError> {
    let ty = component.component_type();
    let unknown: Vec<_> = ty.imports(engine).map(|(import, _)| import).filter(|import| !is_offered(import)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "it imports {}, which this host does not offer; it offers {} in versions 0.2, and {}",
        named(&unknown),
        WASI.join(", "),
        EXACT.join(", "),
    );
    Err(HostError::Link { guest: guest.to_owned(), reason })
}

/// Refuses a core module that imports what is not offered, or that is no program.
pub(crate) fn check_module(guest: &str, module: &Module) -> Result<(), HostError> {
    let refuse = |reason: String| Err(HostError::Link { guest: guest.to_owned(), reason });
    let offered = [PREVIEW_1, witx::MODULE];
    let imports = module.imports().filter(|import| !offered.contains(&import.module()));
    let unknown: Vec<_> = imports.map(|import| format!("{}.{}", import.module(), import.name())).collect();
    if !unknown.is_empty() {
        let unknown: Vec<_> = unknown.iter().map(String::as_str).collect();
        let (these, offers) = (named(&unknown), offered.join(" and "));
        return refuse(format!("it imports {these}, which this host does not offer; core modules can import {offers}"));
    }
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => Ok(()),
        _ => refuse("it is a core module without a function `_start`; build it as a program for wasm32-wasip1, or as a component for wasm32-wasip2".to_owned()),
    }
}

/// The reason to refuse a component that exports nothing that could be called.
pub(crate) fn nothing_to_call(exports: &[String]) -> String {
    let exports: Vec<_> = exports.iter().map(String::as_str).collect();
    let found = if exports.is_empty() { "no interface".to_owned() } else { named(&exports) };
    format!(
        "it exports {found}; export wisp:inference/embedding@0.1.0 to embed, wisp:inference/classification@0.1.0 to classify, \
         wasi:http/incoming-handler to serve HTTP, or wasi:cli/run to be run"
    )
}

fn is_offered(import: &str) -> bool {
    if EXACT.contains(&import) {
        return true;
    }
    let Some((interface, version)) = import.split_once('@') else { return false };
    let package = interface.split('/').next().unwrap_or(interface);
    WASI.contains(&package) && version.starts_with("0.2.") && !version.contains('-')
}

/// Names in a message, as far as they fit.
fn named(names: &[&str]) -> String {
    let printable = |name: &&str| -> String {
        name.chars().take(128).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
    };
    let shown: Vec<_> = names.iter().take(NAMED_LIMIT).map(|name| format!("`{}`", printable(name))).collect();
    let more = names.len().saturating_sub(NAMED_LIMIT);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_offered_in_their_versions() {
        for import in ["wasi:io/poll@0.2.6", "wasi:http/types@0.2.0", "wasi:nn/graph@0.2.0-rc-2024-10-28"] {
            assert!(is_offered(import), "{import}");
        }
        for import in [
            "wasi:io/poll@0.3.0",
            "wasi:http/types@0.2.0-rc-2023-12-05",
            "wasi:nn/graph@0.2.0-rc-2024-06-25",
            "wasi:keyvalue/store@0.2.0",
            "wisp:inference/models@0.2.0",
            "log",
        ] {
            assert!(!is_offered(import), "{import}");
        }
    }

    #[test]
    fn a_message_stays_short_and_plain() {
        let long = "x".repeat(500);
        let names = ["a\nb", &long, "c", "d", "e", "f", "g"];
        let text = named(&names);
        assert!(text.starts_with("`a\u{fffd}b`, `xxx") && text.ends_with("`e` and 2 more"), "{text}");
        assert!(text.len() < 250);
    }
}
