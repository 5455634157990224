//! Pods on a real, private containerd, asked for through its CRI: what `cargo xtask e2e` runs.
//!
//! A [`node::Node`] is a containerd of its own with images made here; a [`checks::Check`] asks it for pods and looks at
//! them from the host; [`run`] goes through the checks and ends by counting what is left.

#![forbid(unsafe_code)]

mod arguments;
mod checks;
mod containerd;
mod cri;
mod embedder;
mod images;
mod leftovers;
mod model_folder;
mod node;
mod pod;
mod process;
mod program;
mod refusal;
mod report;
mod run;
mod warm;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Format};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run::all(&arguments).await {
        Ok(reports) => {
            match arguments.format {
                Format::Table => reports.iter().for_each(|report| println!("\n{}", report.table())),
                Format::Json => println!("{}", serde_json::json!({ "runs": reports })),
            }
            if reports.iter().any(report::Report::has_failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
