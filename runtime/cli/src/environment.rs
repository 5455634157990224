//! Environment variables that are set to nothing count as unset, for every flag.
//!
//! Shells, compose files and pod specifications pass variables on that nobody filled in. Clap would take the empty text for a
//! value, and refuse it.

use clap::builder::Resettable;
use clap::{Arg, Command};

/// The command, whose flags know of no variable that is empty.
pub(crate) fn without_empty(command: Command) -> Command {
    let forget = |arg: Arg| match is_empty(&arg) {
        true => arg.env(Resettable::Reset),
        false => arg,
    };
    command.mut_args(forget).mut_subcommands(without_empty)
}

fn is_empty(arg: &Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
}
