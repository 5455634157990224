//! Calls of `wasi:nn` in any order with any numbers: pointers, lengths, handles, and whatever lies in memory.
//!
//! The input is a script of `examples/guests/foreign/script`, which the guest `script-nn` plays.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use script::samples::{nn_inference, printed};
use wisp_fuzz::Stage;

static STAGE: LazyLock<Stage> =
    LazyLock::new(|| Stage::new("script-nn", script::write(&nn_inference("echo")), printed()));

fuzz_target!(|input: &[u8]| STAGE.play(input));
