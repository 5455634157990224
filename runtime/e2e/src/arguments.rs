//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Run pods on a private containerd and check what they do. Needs root. `cargo xtask e2e` fetches and builds what is asked
/// for here.
#[derive(Debug, Parser)]
#[command(name = "wisp-e2e")]
pub(crate) struct Arguments {
    /// Folder with `containerd`, `ctr` and `containerd-shim-runc-v2`; several for several versions.
    #[arg(long, required = true, value_name = "FOLDER")]
    pub(crate) containerd: Vec<PathBuf>,
    /// The program `runc`.
    #[arg(long, value_name = "FILE")]
    pub(crate) runc: PathBuf,
    /// The shim under test. Without it the embedder runs under runc, which tries the checks themselves.
    #[arg(long, value_name = "FILE")]
    pub(crate) shim: Option<PathBuf>,
    /// The program `wisp`, for runs without a shim.
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: PathBuf,
    /// The embedder component.
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// Folder of the model's manifest and golden vectors.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model: PathBuf,
    /// Only checks whose name contains this.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Leave containerd and what it keeps as they are, to look around.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
