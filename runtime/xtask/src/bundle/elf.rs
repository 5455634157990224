//! Programs and shared libraries: what they need, and where they look for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{capture, find_program};

/// Reads and changes ELF files, through the program `patchelf`.
pub(super) struct Elf {
    patchelf: PathBuf,
}

impl Elf {
    pub(super) fn new(patchelf: PathBuf) -> Self {
        Self { patchelf }
    }

    /// The loader that a program names.
    pub(super) fn interpreter(&self, program: &Path) -> Result<PathBuf> {
        let printed = capture(Command::new(&self.patchelf).arg("--print-interpreter").arg(program))?;
        Ok(PathBuf::from(printed.trim()))
    }

    /// The libraries that a file names.
    pub(super) fn needed(&self, file: &Path) -> Result<Vec<String>> {
        let printed = capture(Command::new(&self.patchelf).arg("--print-needed").arg(file))?;
        Ok(printed.lines().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }

    /// Has a program start through this loader, and look for libraries here before it looks where the environment says.
    pub(super) fn move_to(&self, program: &Path, interpreter: &str, libraries: &str) -> Result<()> {
        let mut command = Command::new(&self.patchelf);
        // The old kind of path (DT_RPATH) comes before LD_LIBRARY_PATH, which images set.
        command.args(["--set-interpreter", interpreter, "--force-rpath", "--set-rpath", libraries]).arg(program);
        capture(&mut command).map(drop)
    }

    /// Takes out what only a debugger reads.
    pub(super) fn strip(&self, program: &Path) -> Result<()> {
        let strip = find_program("strip")
            .context("`strip` is missing; install `binutils` with your system's package manager")?;
        capture(Command::new(strip).arg("--strip-debug").arg(program)).map(drop)
    }
}

/// Where the compiler would find a library of this machine.
pub(super) fn system_library(name: &str) -> Result<Option<PathBuf>> {
    let printed = capture(Command::new("cc").arg(format!("-print-file-name={name}")))?;
    let path = Path::new(printed.trim());
    // A library that it does not know it names without a folder.
    path.is_absolute().then(|| path.canonicalize()).transpose().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_of_this_machine_is_found_and_others_are_not() {
        let found = system_library("libc.so.6").expect("the compiler answers").expect("programs need it");
        assert!(found.is_file());
        assert_eq!(system_library("libno-such-library.so.9").expect("the compiler answers"), None);
    }
}
