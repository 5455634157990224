//! What a command is given beside `wasi:nn`: arguments, variables, folders, input.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The file that is written into each folder, and deleted again, to see whether that works.
const PROBE: &str = "written-by-embed-nn";

/// Prints `argument: …`, `variable: NAME=VALUE`, `folder: …` with `entry: …` and `writing: …` for each folder, and at last
/// `input: …` line by line.
pub(crate) fn print() -> Result<()> {
    for argument in std::env::args() {
        println!("argument: {argument}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("variable: {name}={value}");
    }
    // The standard library opens paths below the folders, but does not list them.
    for (_, folder) in wasi::filesystem::preopens::get_directories() {
        print_folder(Path::new(&folder))?;
    }
    for line in std::io::stdin().lines() {
        println!("input: {}", line.context("cannot read the input")?);
    }
    Ok(())
}

fn print_folder(folder: &Path) -> Result<()> {
    println!("folder: {}", folder.display());
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let name = |entry: std::io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = entries
        .map(name)
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("cannot list {}", folder.display()))?;
    names.sort();
    for name in names {
        println!("entry: {name}");
    }
    let probe = folder.join(PROBE);
    match fs::write(&probe, "written").and_then(|()| fs::remove_file(&probe)) {
        Ok(()) => println!("writing: ok"),
        Err(error) => println!("writing: {error}"),
    }
    Ok(())
}
