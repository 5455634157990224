//! The process that containerd talks to: one a pod, answering the task protocol until the pod's last container is gone.
//!
//! It holds no module, no model and no privilege that outlives a step: what it does is start [`steps`], wait for processes to
//! end, and tell containerd in the right order.

mod cgroup;
mod cleanup;
mod container;
mod containers;
mod events;
mod exits;
mod launch;
mod reaper;
mod serve;
mod stats;
mod steps;
mod task;

use std::io::Write;
use std::process::ExitCode;

use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::types::introspection::RuntimeInfo;
use containerd_shim::{Error, Flags};

/// The runtime's type in containerd's configuration.
const RUNTIME_ID: &str = "io.containerd.wisp.v1";

/// Does what containerd's command line asks for.
pub(crate) fn run() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // One thread does: everything heavy is a step. Its stack and heap are what every pod pays for the shim.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = containerd_shim::parse(&arguments).map_err(|error| error.to_string()).and_then(|flags| {
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(act(flags)).map_err(|error| error.to_string())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{RUNTIME_ID}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn act(flags: Flags) -> Result<(), Error> {
    match flags.action.as_str() {
        "start" => launch::launch(&flags).await,
        "delete" => answer(&cleanup::clean_up(&flags)?.write_to_bytes()?),
        "" if flags.info => {
            answer(&RuntimeInfo { name: RUNTIME_ID.to_owned(), ..RuntimeInfo::default() }.write_to_bytes()?)
        }
        "" if flags.version => answer(format!("{RUNTIME_ID} {}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
        "" if !flags.socket.is_empty() => serve::serve(&flags).await,
        action => {
            Err(Error::InvalidArgument(format!("`{action}` is no action; this program is started by containerd")))
        }
    }
}

/// Writes to containerd, which reads standard output.
fn answer(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|err| Error::IoError { context: "answer containerd".into(), err })
}
