//! The engine with real guests and the real model.

mod calibration;
mod changed;
mod classify;
mod graphs;
mod hostile;
mod infer;
mod precision;
mod programs;
mod proofs;
mod reference;
mod sandbox;
mod sharing;
mod start;
mod support;
