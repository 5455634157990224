//! Write AI inference guests for Wisp, or any other WASI-NN host, in Rust.
//!
//! A guest is a WebAssembly component of some hundred kilobytes that holds the application's own logic: it cuts batches,
//! pools, normalises, answers. The model runs beside it in the host and is reached through `wasi:nn`, by the alias under
//! which the deployment was granted it.
//!
//! This is a whole guest that embeds texts:
//!
//! ```
//! use wisp_guest::{Embedder, Embeddings, Error, Inputs, Options, TextEmbedder};
//!
//! struct MyEmbedder;
//!
//! impl Embedder for MyEmbedder {
//!     fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
//!         TextEmbedder::load("encoder")?.embed(inputs, options)
//!     }
//! }
//!
//! wisp_guest::export_embedder!(MyEmbedder);
//! ```
//!
//! It is a `cdylib` built for the target `wasm32-wasip2`. The parts below it serve guests that do more of the work
//! themselves:
//!
//! - [`Model`] loads a granted model and computes; inputs are [`NamedTensor`]s and [`Outputs`] stay with the host until read.
//! - [`Tensor`] is a typed, shaped view of guest memory, as an [`ndarray`] array.
//! - [`Tokenizer`] runs the model's tokenizer in the host and hands its tensors on without a copy into the guest.
//! - [`plan`] cuts rows of different lengths into batches; [`PaddedRows`] makes the tensors of one.
//! - [`pooling`] turns one vector a token into one vector a text.
//! - [`TextEmbedder`] and [`TokenEmbedder`] put them together, the first for Wisp, the second for any WASI-NN host.
//! - [`Classifier`] is what a guest that classifies implements; [`scores`] turns what a model computes into ranked labels, and
//!   [`state`] keeps tensors from one request to the next.
//!
//! ```no_run
//! use wisp_guest::{EncodeOptions, Error, Model, Tokenizer, ndarray::Ix2};
//!
//! fn first_component(text: &str) -> Result<f32, Error> {
//!     let options = EncodeOptions { add_special_tokens: true, truncate: true };
//!     let encoding = Tokenizer::of("encoder").encode(&[text.to_owned()], options)?;
//!     let outputs = Model::load("encoder")?.compute(encoding.tensors(&[0])?)?;
//!     Ok(outputs.get("sentence_embedding")?.view::<f32>()?[[0, 0]])
//! }
//! ```
//!
//! Off WebAssembly the crate compiles, so that a guest's own logic can be tested natively; the calls into the host panic
//! there.

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    reason = "generated from wit/, where the documentation is; the calling convention of components needs unsafe code"
)]
#[doc(hidden)]
pub mod bindings;

mod batched;
pub mod classifier;
mod element;
mod embedder;
mod error;
mod gathered;
mod model;
pub mod models;
mod padded;
pub mod plan;
pub mod pooling;
pub mod scores;
pub mod state;
mod tensor;
mod text_embedder;
mod token_embedder;
mod tokenizer;

pub use ndarray;

pub use classifier::{Candidate, Classification, Classifier, ClassifyInput, ClassifyOptions, ScoredLabel, Scoring};
pub use element::Element;
pub use embedder::{Embedder, Embeddings, Inputs, Options, check_inputs, fit_tokens};
pub use error::{Error, ErrorKind};
pub use model::{Model, Outputs};
pub use models::Pooling;
pub use padded::PaddedRows;
pub use tensor::{DataType, HostTensor, NamedTensor, Tensor};
pub use text_embedder::TextEmbedder;
pub use token_embedder::{TokenEmbedder, TokenModel};
pub use tokenizer::{EncodeOptions, Encoding, Tokenizer};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
