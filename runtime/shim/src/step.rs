//! One step in a container's life, run by a process of its own: request on standard input, answer on standard output.
//!
//! A step starts with an empty environment and one thread, which is what the container library needs to fork safely. An error is
//! one JSON object too; the exit code says which of both it is.

pub(crate) mod confine;
mod create;
mod lifecycle;
mod stdio;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use oci_spec::runtime::Spec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error, Result};
use crate::options::Options;

pub(crate) use create::{CONFIG_FD, MODULE_FD};

/// The first argument of a step's process.
pub(crate) const ARGUMENT: &str = "step";

/// Make a container and leave it waiting for its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Create {
    /// The container and where its bundle is.
    pub(crate) container: Container,
    /// containerd's namespace, such as `k8s.io`.
    pub(crate) namespace: String,
    /// Path of containerd's gRPC socket.
    pub(crate) containerd: String,
    /// What is mounted to become the root file system, in order.
    pub(crate) rootfs: Vec<Mount>,
    /// Where standard input comes from; empty for none.
    pub(crate) stdin: String,
    /// Where standard output goes; empty for none.
    pub(crate) stdout: String,
    /// Where standard error goes; empty for none.
    pub(crate) stderr: String,
    /// The administrator's options.
    pub(crate) options: Options,
}

/// One mount of a root file system, as a snapshotter describes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// The file system's type, such as `overlay`.
    pub(crate) kind: String,
    /// The device or folder.
    pub(crate) source: String,
    /// Options in the syntax of fstab.
    pub(crate) options: Vec<String>,
}

/// A container by its name and bundle. Everything that a step keeps lies in the bundle, so nothing outlives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Container {
    /// containerd's name of the container.
    pub(crate) id: String,
    /// The OCI bundle that containerd made.
    pub(crate) bundle: PathBuf,
}

/// What `create` made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Created {
    /// The first process of the container, as the node sees it.
    pub(crate) pid: u32,
}

/// Send a signal to all processes of a container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KillAll {
    /// The container.
    pub(crate) container: Container,
    /// The signal's number.
    pub(crate) signal: i32,
}

/// A step's failure on its way to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The message for whoever asked.
    pub(crate) message: String,
}

impl Container {
    /// The library's folder of states, inside the bundle.
    pub(crate) fn states(&self) -> PathBuf {
        self.bundle.join("wisp")
    }

    /// Where the mounts of a root file system go.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// The root file system that `spec` names: usually where the mounts went, but a specification may name any folder.
    pub(crate) fn root_of(&self, spec: &Spec) -> PathBuf {
        // An absolute path replaces the bundle's.
        spec.root().as_ref().map_or_else(|| self.rootfs(), |root| self.bundle.join(root.path()))
    }
}

/// Runs the step `name` and ends the process.
pub(crate) fn run(name: &str) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::ERROR)
        .init();
    let answer = match name {
        confine::STEP => Err(confine::confine(std::env::args_os().skip(confine::FIRST_ARGUMENT))),
        "create" => create::memory_files().and_then(|files| answer(|request| create::create(&request, files))),
        "start" => answer(|container| lifecycle::start(&container)),
        "pause" => answer(|container| lifecycle::pause(&container)),
        "resume" => answer(|container| lifecycle::resume(&container)),
        "kill-all" => answer(|request| lifecycle::kill_all(&request)),
        "delete" => answer(|container| lifecycle::delete(&container)),
        _ => Err(Error::Unsupported {
            what: format!("step `{name}`"),
            remedy: "steps are started by the supervisor alone",
        }),
    };
    let (text, code) = match answer {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (serde_json::json!(Failure { message: error.to_string() }).to_string(), ExitCode::FAILURE),
    };
    // Nobody is left to tell if the supervisor's pipe is gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

fn answer<Request: DeserializeOwned, Answer: Serialize>(
    step: impl FnOnce(Request) -> Result<Answer>,
) -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).attempt(|| "read the step's request".to_owned())?;
    let malformed =
        |error: serde_json::Error| Error::Setting { place: "the step's request".into(), reason: error.to_string() };
    let request = serde_json::from_str(&text).map_err(malformed)?;
    serde_json::to_string(&step(request)?).map_err(malformed)
}
