//! `cargo xtask demo`: real sentences, embedded over gRPC through a sandboxed guest, from a fresh checkout.

use std::process::Command;

use anyhow::Result;

use crate::process::run;
use crate::progress::Step;
use crate::serve::Server;
use crate::setup::{self, Workplace};

/// Five pairs that mean the same in other words; a model that works finds each sentence's partner.
const SENTENCES: [&str; 10] = [
    "The package arrived two days late and the box was crushed.",
    "My order came damaged and long after the promised date.",
    "How do I reset the password of my account?",
    "I forgot my login and cannot sign in any more.",
    "Heavy rain is expected in the mountains tomorrow.",
    "The forecast warns of storms over the Alps on Sunday.",
    "The pump vibrates and its bearing is running hot.",
    "Machine 7 is overheating and shakes under load.",
    "Preheat the oven and knead the dough for ten minutes.",
    "A simple recipe for baking bread at home.",
];

/// Sets up what is missing, starts the server, runs the client against it, and stops the server.
pub(crate) fn demo(workplace: &Workplace) -> Result<()> {
    eprintln!("Setting up Wisp in {}", workplace.home.root().display());
    setup::prepare(workplace)?;

    let step = Step::begin("server");
    let server = Server::start(workplace)?;
    step.done(&format!("wisp serve is ready on {}", server.endpoint()));

    println!("\n{} sentences, embedded over gRPC by all-MiniLM-L6-v2 inside a WebAssembly guest:\n", SENTENCES.len());
    let client = workplace.repository.binary("embed-client");
    run(Command::new(client).args(["--endpoint", &server.endpoint()]).args(SENTENCES))?;

    let step = Step::begin("server");
    server.stop()?;
    step.done("stopped cleanly");
    print!("{}", next_commands());
    Ok(())
}

fn next_commands() -> String {
    "\nTry next:\n  \
       target/debug/wisp embed \"a text of yours\" \"another one\"     embeds without a server\n  \
       target/debug/wisp serve                                     serves gRPC on 127.0.0.1:50051; then, elsewhere:\n  \
       target/debug/embed-client \"first text\" \"second\" \"third\"     finds the nearest neighbours over gRPC\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_three_commands_to_try() {
        assert_eq!(next_commands().matches("target/debug/").count(), 3);
    }
}
