//! Wisp's backends behind the traits of `wasmtime-wasi-nn`.
