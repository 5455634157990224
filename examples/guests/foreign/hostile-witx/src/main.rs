//! `hostile-witx MODE [GRAPH]`: calls `wasi_ephemeral_nn` in one wrong way and prints `errno N`, the host's answer to it.
//!
//! `GRAPH` is a model that the host has by name, `classifier` unless given; it takes bytes, `[1, 224, 224, 3]`. Without a mode
//! the names of all modes are printed. The guest never traps of its own accord, so that a trap is the host's.

mod handles;
mod host;
mod memory;
mod setting;
mod tensors;

use std::process::ExitCode;

use host::Errno;
use setting::Unready;

/// A way to misbehave: calls with the name of the graph, and returns the answer to the call that is wrong.
type Mode = fn(graph: &str) -> Result<Errno, Unready>;

fn main() -> ExitCode {
    let modes = || memory::MODES.iter().chain(handles::MODES).chain(tensors::MODES);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, graph) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            modes().for_each(|(name, _)| println!("{name}"));
            return ExitCode::SUCCESS;
        }
        [name] => (name, "classifier"),
        [name, graph, ..] => (name, graph),
    };
    let Some((_, mode)) = modes().find(|(known, _)| *known == name) else {
        eprintln!("hostile-witx: `{name}` is no mode; without a mode all are listed");
        return ExitCode::FAILURE;
    };
    match mode(graph) {
        Ok(errno) => {
            println!("errno {errno}");
            ExitCode::SUCCESS
        }
        Err(Unready { call, errno }) => {
            eprintln!("hostile-witx: {call} answered errno {errno}, so that `{name}` could not be tried");
            ExitCode::FAILURE
        }
    }
}
