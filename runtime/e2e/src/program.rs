//! The Linux program of the test images, compiled statically: such an image has no libraries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Its source, which is checked as a program of this package.
const SOURCE: &str = include_str!("bin/inhabitant.rs");

/// Compiles the program into `folder`.
pub(crate) async fn compile(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("inhabitant.rs"), folder.join("inhabitant"));
    std::fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
    let output = tokio::process::Command::new("rustc")
        .args([
            "--edition=2024",
            "-Copt-level=1",
            "-Cstrip=symbols",
            "-Cpanic=abort",
            "-Ctarget-feature=+crt-static",
            "-o",
        ])
        .arg(&program)
        .arg(&source)
        .output()
        .await
        .context("cannot start `rustc`; install Rust by rustup")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the program of the test images cannot be compiled statically:\n{said}");
    Ok(program)
}
