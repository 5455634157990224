//! The last act of a container's first process before it becomes its program.

use std::collections::HashMap;
use std::ffi::CString;
use std::path::PathBuf;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::{Process, Spec};

use crate::workload::program;

/// Replaces the process by the program of the specification, with the environment of the specification: entry for entry, in
/// its order, and nothing of the shim's own.
#[derive(Clone)]
pub(crate) struct Exec;

impl Executor for Exec {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or(ExecutorError::InvalidArg)?;
        let program = find(process).ok_or(ExecutorError::InvalidArg)?;
        let text = |text: &str| CString::new(text).map_err(|_| ExecutorError::InvalidArg);
        let path = text(&program.display().to_string())?;
        let args = process.args().iter().flatten().map(|arg| text(arg)).collect::<Result<Vec<_>, _>>()?;
        let environment = process.env().iter().flatten().map(|entry| text(entry)).collect::<Result<Vec<_>, _>>()?;
        match execve(&path, &args, &environment) {
            Ok(never) => match never {},
            Err(error) => Err(ExecutorError::Other(format!("cannot execute {}: {error}", program.display()))),
        }
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let process = spec.process().as_ref();
        match process.and_then(find) {
            Some(_) => Ok(()),
            None => Err(ExecutorValidationError::ArgValidationError(format!(
                "`{}` is not an executable file in the container",
                program::name(process)
            ))),
        }
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The step's own environment is empty, and `exec` passes the specification's.
        Ok(())
    }
}

/// The program's path inside the container, where this is called.
fn find(process: &Process) -> Option<PathBuf> {
    let executable = |path: &PathBuf| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    program::candidates(process).into_iter().find(executable)
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::ProcessBuilder;

    use super::*;

    fn process(name: &str, env: &[&str]) -> Process {
        ProcessBuilder::default()
            .args(vec![name.to_owned()])
            .env(env.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
            .build()
            .expect("a process")
    }

    #[test]
    fn programs_are_found_with_and_without_a_path() {
        assert_eq!(find(&process("sh", &["PATH=/nowhere:/bin", "OTHER=1"])), Some("/bin/sh".into()));
        assert!(find(&process("sh", &[])).is_some(), "the usual folders, where the container names none");
        assert_eq!(find(&process("sh", &["PATH=/nowhere"])), None);
        assert_eq!(find(&process("/bin/sh", &[])), Some("/bin/sh".into()));
        assert_eq!(find(&process("/proc/version", &[])), None, "not executable");
        assert_eq!(find(&process("/etc", &[])), None, "a folder");
    }
}
