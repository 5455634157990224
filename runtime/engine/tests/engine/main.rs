//! The engine with real guests and the real model.

mod hostile;
mod reference;
mod start;
mod support;
