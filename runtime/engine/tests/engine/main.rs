//! The engine with real guests and the real model.

mod graphs;
mod hostile;
mod proofs;
mod reference;
mod sharing;
mod start;
mod support;
