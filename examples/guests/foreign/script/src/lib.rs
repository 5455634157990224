//! Scripts that tell a guest what to call with which raw numbers, so that a fuzzer can make any sequence of calls.
//!
//! A script is a sequence of [`Step`]s in bytes. Whatever the bytes are, they are a script: a code that nobody gave a meaning
//! stands for another one, and a step that is cut off is the end. A guest [plays](play) it against the functions of an
//! [interface](Function), over a [`Scratch`] memory where names, records and results lie; a test [writes](write()) it.
//!
//! ```
//! use script::{Argument, Step, WITX, write};
//!
//! let name = Step::Write { offset: 64, bytes: b"echo".to_vec() };
//! let load = Step::call(WITX, "load_by_name", &[Argument::Scratch(64), Argument::Number(4), Argument::Scratch(4)]);
//! assert_eq!(write(&[name, load]).len(), 16);
//! ```

#![deny(unsafe_code)]

mod argument;
mod interfaces;
mod play;
mod read;
pub mod samples;
mod scratch;
mod step;

pub use argument::Argument;
pub use interfaces::{ARGUMENTS_LIMIT, Function, NN, WITX};
pub use play::play;
pub use scratch::Scratch;
pub use step::{Step, write};
