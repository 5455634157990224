//! The host side of `wasi:nn@0.2.0-rc-2024-10-28`: tensors, graphs, execution contexts, errors.
//!
//! `compute` is asynchronous: the guest's fiber waits for the scheduler, no thread does. Inputs are checked before a
//! backend sees them, and every failure comes back as one of the proposal's error codes; the only traps are those of a
//! guest that used up what [`Limits`](crate::Limits) gives it.

mod compute;
mod errors;
mod graph;
mod inference;
mod tensor;

pub(crate) use compute::ComputeError;
pub use errors::NnError;
pub use graph::Graph;
pub(crate) use graph::{GraphError, name_of};
pub use inference::ExecutionContext;
pub use tensor::NnTensor;
pub(crate) use tensor::link_without_copies;
