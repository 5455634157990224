//! The programs that set-up needs and cannot bring itself.

use std::process::Command;

use crate::process::{capture, find_program};

/// A program of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// What it is needed for.
    pub(crate) purpose: &'static str,
    /// What to do when it is missing.
    pub(crate) remedy: &'static str,
    probe: fn() -> Option<String>,
}

impl Tool {
    /// Its version, or `None` when it is missing or does not run.
    pub(crate) fn version(&self) -> Option<String> {
        (self.probe)()
    }
}

/// Every tool, in the order in which they are needed.
pub(crate) const TOOLS: [Tool; 5] = [
    Tool {
        name: "git",
        purpose: "the checkout",
        remedy: "install `git` with your system's package manager",
        probe: || first_line(Command::new("git").arg("--version")),
    },
    Tool {
        name: "rustc",
        purpose: "everything",
        remedy: "install Rust by rustup; rust-toolchain.toml names the version",
        probe: || first_line(Command::new("rustc").arg("--version")),
    },
    Tool {
        name: "C compiler",
        purpose: "linking, and the C parts of dependencies",
        remedy: "install `gcc` (Debian: build-essential) or `clang`, or name yours in the variable CC",
        probe: c_compiler,
    },
    Tool {
        name: "python3",
        purpose: "fetching the model and native libraries",
        remedy: "install `python3` with your system's package manager, or name yours in the variable WISP_PYTHON",
        probe: || first_line(python().arg("--version")),
    },
    Tool {
        name: "pip",
        purpose: "fetching the model and native libraries",
        remedy: "install `python3-pip` with your system's package manager, or run `python3 -m ensurepip --user`",
        probe: || first_line(python().args(["-m", "pip", "--version"])),
    },
];

/// The Python that downloads and the Python client use: `WISP_PYTHON`, else `python3`.
pub(crate) fn python() -> Command {
    Command::new(std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Tools that are missing, each with its purpose and remedy in one line.
pub(crate) fn missing() -> Vec<String> {
    TOOLS
        .iter()
        .filter(|tool| tool.version().is_none())
        .map(|tool| format!("{} is missing, which is needed for {}: {}", tool.name, tool.purpose, tool.remedy))
        .collect()
}

fn c_compiler() -> Option<String> {
    let named = std::env::var("CC").ok();
    let name =
        named.as_deref().or_else(|| ["cc", "gcc", "clang"].into_iter().find(|name| find_program(name).is_some()))?;
    // CC may carry arguments, as make and the `cc` crate allow.
    let mut words = name.split_whitespace();
    first_line(Command::new(words.next()?).args(words).arg("--version"))
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = capture(command).ok()?;
    output.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_started_has_no_version() {
        assert_eq!(first_line(Command::new("no-such-program-of-wisp").arg("--version")), None);
        assert_eq!(first_line(&mut Command::new("false")), None);
    }

    #[test]
    fn the_compiler_that_built_this_test_is_found() {
        let rustc = TOOLS.iter().find(|tool| tool.name == "rustc").expect("the table has it");
        assert!(rustc.version().is_some_and(|version| version.starts_with("rustc ")));
    }

    #[test]
    fn every_tool_has_a_remedy() {
        for tool in TOOLS {
            assert!(tool.remedy.contains("install"), "{}", tool.name);
        }
    }
}
