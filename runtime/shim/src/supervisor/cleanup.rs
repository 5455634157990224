//! The action `delete`: removes what a shim left that died before its containers.

use containerd_shim::api::DeleteResponse;
use containerd_shim::util::timestamp;
use containerd_shim::{Error, Flags};

use crate::step::Container;
use crate::supervisor::steps;

/// Exit status of a task whose shim died: 128 + SIGKILL, which is what happens to it now.
const KILLED: u32 = 137;

/// Kills and removes the container that the flags name.
pub(super) fn clean_up(flags: &Flags) -> Result<DeleteResponse, Error> {
    let here = || std::env::current_dir().map_err(|err| Error::IoError { context: "find the bundle".into(), err });
    let bundle = if flags.bundle.is_empty() { here()? } else { flags.bundle.clone().into() };
    let container = Container { id: flags.id.clone(), bundle };
    steps::run_unsupervised("delete", &container).map_err(|error| Error::Other(error.to_string()))?;
    Ok(DeleteResponse { exit_status: KILLED, exited_at: Some(timestamp()?).into(), ..DeleteResponse::default() })
}
