//! The guests that are part of the binary.

/// How configuration names a built-in guest: `builtin:embedder`.
pub const BUILTIN_PREFIX: &str = "builtin:";

/// Name and module of each built-in guest.
const GUESTS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The module of a built-in guest, by its name without the prefix.
#[must_use]
pub fn guest(name: &str) -> Option<&'static [u8]> {
    GUESTS.iter().find(|(guest, _)| *guest == name).map(|(_, wasm)| *wasm)
}

/// Whether a configuration may name it. A binary without any guest does not know what another one has.
pub(crate) fn may_be(name: &str) -> bool {
    GUESTS.is_empty() || guest(name).is_some()
}

/// The names, for messages.
pub(crate) fn names() -> String {
    let names: Vec<_> = GUESTS.iter().map(|(name, _)| format!("{BUILTIN_PREFIX}{name}")).collect();
    if names.is_empty() { "none; build it with `cargo xtask guests`".to_owned() } else { names.join(", ") }
}
