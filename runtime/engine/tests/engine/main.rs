//! The engine with real guests and the real model.

mod changed;
mod graphs;
mod hostile;
mod precision;
mod proofs;
mod reference;
mod start;
mod support;
