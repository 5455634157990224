//! The Wasm host: guests in a capability sandbox, and the host side of `wasi:nn`.
//!
//! A [`Host`] owns the Wasm engine. [`Host::load`] turns the bytes of a component into a [`Guest`]: compiled ahead of time
//! (or read back from the [AOT cache](AotCache)), checked, and linked once. Each request then gets a fresh instance out of
//! the pool, runs on a fiber, and is gone afterwards: nothing of one request is visible to the next.
//!
//! What a guest can reach is exactly this:
//! - the models that its [`Grants`] name, through `wasi:nn@0.2.0-rc-2024-10-28` and, if it wants them, the additive
//!   `wisp:inference/models` and `wisp:inference/tokenizer`, and where it is granted, `wisp:inference/state`;
//! - of WASI: clocks, random numbers, and standard error, which goes to the log. The rest is linked, because Rust's
//!   standard library imports it, and grants nothing: no file, no network, no environment.
//!
//! Every call is bounded by [`Limits`]; whatever a guest does ends as a [`CallError`] with a kind and a message.

#![deny(unsafe_code)]

mod account;
mod bindings;
mod cache;
mod call;
mod classify;
mod code;
mod compile;
mod compiled;
mod convert;
mod core_state;
mod embed;
mod epoch;
mod error;
mod exports;
mod grants;
mod guest;
mod http;
#[expect(unreachable_pub, reason = "the generated bindings re-export what guests hold")]
mod inference;
mod inherit;
mod keep;
mod kept_tensors;
mod limits;
mod loading;
mod nesting;
#[expect(unreachable_pub, reason = "the generated bindings re-export what guests hold")]
mod nn;
mod offer;
mod outside;
mod pool;
mod program;
mod sandbox;
mod snapshot;
mod state;
mod terms;
mod tokenizer;
mod wasi;
mod witx;

pub use cache::{AotCache, KeptCode};
pub use call::{CallTimes, Copies};
pub use classify::{CandidateLabel, Classified, ClassifyCall, ClassifyInput, ClassifyOptions, LabelScore, LabelScores};
pub use code::{CodeFile, check_node_cache, compile};
pub use embed::{EmbedCall, EmbedInputs, EmbedOptions, Embedded};
pub use error::{CallError, HostError};
pub use exports::kind_of;
pub use grants::{EmbeddingFacts, GrantedModel, Grants, ModelGrant};
pub use guest::{Guest, GuestKind};
pub use http::{GuestBody, GuestBodyError, HttpCall};
pub use inherit::{InheritError, forget_environment, take_sealed};
pub use kept_tensors::{KeptTensors, StateFigures, StateLimits};
pub use limits::Limits;
pub use loading::{ExecutionTarget, GraphEncoding, LoadError, ModelBytes, ModelLoader};
pub use outside::{DirGrant, HttpGrant, HttpGrantError, Outside, WrittenIn};
pub use program::{ProgramCall, ProgramEnd};
pub use sandbox::{Host, HostConfig, Loading};
pub use snapshot::INITIALIZE_EXPORT;
pub use terms::Terms;
pub use tokenizer::{ModelTokenizer, TokenizerError, TokenizerOptions};
pub use wasi::{Captured, Streams};
pub use witx::TensorTypes;
