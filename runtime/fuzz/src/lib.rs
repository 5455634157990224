//! What the targets that run guests share: a [`Stage`] with a guest, models that give back what they are given, and bounds that
//! short scripts reach.

#![forbid(unsafe_code)]

mod echo;
mod loader;
mod memory;
mod stage;

pub use stage::Stage;
