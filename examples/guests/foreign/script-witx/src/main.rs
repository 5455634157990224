//! `script-witx`: reads a script from standard input and plays it against `wasi_ephemeral_nn`, for a fuzzer to write scripts.
//!
//! The numbers of the script go to the host as they are. Calls may write over this guest's own memory, after which it may do
//! anything that a guest can do.

mod host;

use std::io::Read;
use std::process::ExitCode;

use script::{WITX, play};

fn main() -> ExitCode {
    let mut script = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut script) {
        eprintln!("script-witx: cannot read the script: {error}");
        return ExitCode::FAILURE;
    }
    play(&script, WITX, std::io::stdout(), |function, numbers| (host::CALLS[function])(numbers));
    ExitCode::SUCCESS
}
