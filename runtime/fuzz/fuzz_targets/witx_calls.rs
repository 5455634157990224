//! Calls of `wasi_ephemeral_nn` in any order with any numbers: pointers, lengths, handles, and whatever lies in memory.
//!
//! The input is a script of `examples/guests/foreign/script`, which the guest `script-witx` plays.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use script::samples::{printed, witx_inference};
use wisp_fuzz::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let good = script::write(&witx_inference("echo", "compute", "get_output"));
    Stage::new("script-witx", good, printed())
});

fuzz_target!(|input: &[u8]| STAGE.play(input));
