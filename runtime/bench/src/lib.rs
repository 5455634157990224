//! Benchmarks that tell the truth: load on a server, on the engine or on a backend, with every answer checked.
//!
//! A [`Plan`](plan::Plan) says what is measured. [`measure`] makes texts ([`mix`]), computes the right answers
//! ([`mod@reference`]), starts what is to be measured ([`targets`]) and runs it ([`run`]): a closed loop of clients, or an open loop
//! of arrivals whose latency counts from the time a request was meant to be sent. What was noted ([`record`]) becomes figures
//! ([`figures`]) and a [`Report`](report::Report), which [`output`] writes in the forms that people and programs read.
//!
//! ```
//! use wisp_bench::mix::Mix;
//!
//! let texts = Mix::Short.texts(3, 1);
//! assert!(texts.iter().all(|text| text.split(' ').count() == 14));
//! assert_eq!(texts, Mix::Short.texts(3, 1), "a seed says all");
//! ```

#![forbid(unsafe_code)]

pub mod answer;
pub mod cold;
pub mod compare;
pub mod devices;
pub mod energy;
pub mod environment;
mod error;
pub mod expectation;
pub mod figures;
pub mod load;
pub mod machine;
pub mod mix;
pub mod output;
pub mod plan;
pub mod pool;
pub mod process;
pub mod random;
pub mod record;
pub mod reference;
pub mod refusals;
pub mod report;
pub mod run;
pub mod server;
mod session;
pub mod shapes;
pub mod slo;
pub mod span;
pub mod stability;
pub mod stream_spec;
pub mod target;
pub mod targets;
pub mod variant;
mod words;
pub mod yardstick;

pub use error::BenchError;
pub use session::{Setting, measure, pools};
