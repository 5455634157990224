//! Becomes a program that may be fed anything: bounded in time, memory and files, as a user that owns nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::{Attempt, Error, Result};
use crate::options::Options;

/// The step's name.
pub(crate) const STEP: &str = "confine";
/// Where the step's own arguments begin: after the program, `step` and the name.
pub(super) const FIRST_ARGUMENT: usize = 3;
/// The user that the program runs as: `nobody`.
const UID: u32 = 65534;
/// Files that it may have open.
const MAX_FILES: u64 = 64;

/// The step's first arguments; the program and its arguments follow them.
pub(crate) fn arguments(options: &Options) -> [String; 2] {
    [options.compile_cpu_s.to_string(), options.compile_memory_bytes.to_string()]
}

/// Limits this process and becomes the program. Returns only with the reason why not.
pub(super) fn confine(arguments: impl Iterator<Item = OsString>) -> Error {
    match limited_program(arguments) {
        Ok(mut program) => {
            Error::Io { what: format!("execute {}", program.get_program().display()), source: program.exec() }
        }
        Err(error) => error,
    }
}

fn limited_program(mut arguments: impl Iterator<Item = OsString>) -> Result<Command> {
    let malformed = || Error::Setting {
        place: "the arguments of `confine`".into(),
        reason: "limits and a program are needed".into(),
    };
    let mut number = || arguments.next().and_then(|text| text.to_str()?.parse().ok()).ok_or_else(malformed);
    let (cpu_s, memory_bytes) = (number()?, number()?);
    let program = arguments.next().ok_or_else(malformed)?;
    // Nothing is written to a file: input and output are pipes.
    let limits = [
        (Resource::Cpu, cpu_s),
        (Resource::As, memory_bytes),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, MAX_FILES),
    ];
    for (resource, value) in limits {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .attempt(|| format!("limit {resource:?} to {value}"))?;
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().uid(UID).gid(UID);
    Ok(command)
}
