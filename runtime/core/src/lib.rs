//! The vocabulary of Wisp: tensors, signatures, devices, and the two traits that an inference backend implements.
//!
//! A [`Backend`] is a native library that can run models (OpenVINO, ONNX Runtime, Candle). It loads a model onto a device as a
//! [`Session`], which turns a [`Batch`] of named [`Tensor`]s into named output tensors. Everything above this crate
//! (scheduler, host, engine) speaks only these types, and everything that can go wrong anywhere carries an [`ErrorKind`],
//! from which the edges choose a gRPC status or a `wasi:nn` error code.
//!
//! ```
//! use wisp_core::{DataType, Tensor};
//!
//! let ids = Tensor::from_slice(&[1, 4], &[101_i64, 7592, 2088, 102])?;
//! assert_eq!(ids.data_type(), DataType::I64);
//! assert_eq!(ids.shape(), [1, 4]);
//! assert_eq!(ids.view::<i64>()?[1], 7592);
//! # Ok::<(), wisp_core::TensorError>(())
//! ```

#![forbid(unsafe_code)]

pub mod aligned;
mod backend;
mod backend_error;
mod batch;
mod data_type;
mod device;
mod error;
pub mod pooling;
mod precision;
mod promise;
pub mod rows;
mod signature;
mod tensor;

pub use backend::{
    Backend, BackendReport, Cancel, DeviceReport, FusedOutput, LoadRequest, ModelFormat, Pooling, Session, SessionInfo,
};
pub use backend_error::BackendError;
pub use batch::{Batch, Layout, NamedTensor, PackedBatch, Ragged, StaticShape, check_lengths};
pub use data_type::{DataType, Element};
pub use device::{BackendId, COMBINED_LIMIT, Combination, CombinedDevice, Device, Placement, PlacementError};
pub use error::{ErrorKind, Kinded};
pub use precision::{Precision, PrecisionError};
pub use promise::BrokenPromise;
pub use signature::{Axis, Signature, SignatureError, TensorSpec};
pub use tensor::{RANK_LIMIT, Tensor, TensorError};
