//! `script-nn`: reads a script from standard input and plays it against `wasi:nn`, for a fuzzer to write scripts.
//!
//! The numbers of the script go to the host as the canonical ABI takes them: handles, addresses and lengths that no generated
//! binding would pass. Calls may write over this guest's own memory, after which it may do anything that a guest can do.

mod bindings;
mod host;

use std::io::Read;
use std::process::ExitCode;

use script::{NN, play};

fn main() -> ExitCode {
    let mut script = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut script) {
        eprintln!("script-nn: cannot read the script: {error}");
        return ExitCode::FAILURE;
    }
    play(&script, NN, std::io::stdout(), |function, numbers| (host::CALLS[function])(numbers));
    ExitCode::SUCCESS
}
