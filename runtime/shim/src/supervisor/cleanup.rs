//! The action `delete`: removes what a shim left that died before its containers.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use containerd_shim::api::DeleteResponse;
use containerd_shim::util::timestamp;
use containerd_shim::{Error, Flags};

use crate::step::Container;
use crate::supervisor::launch::ADDRESS_FILE;
use crate::supervisor::steps;

/// Exit status of a task whose shim died: 128 + SIGKILL, which is what happens to it now.
const KILLED: u32 = 137;

/// A supervisor that was killed leaves its socket behind. One that still answers serves other containers of the pod.
fn remove_dead_socket(bundle: &Path) {
    let Ok(address) = std::fs::read_to_string(bundle.join(ADDRESS_FILE)) else { return };
    let path = Path::new(address.trim().trim_start_matches("unix://"));
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        // It is gone already where another container of the pod was cleaned up first.
        let _ = std::fs::remove_file(path);
    }
}

/// Kills and removes the container that the flags name.
pub(super) fn clean_up(flags: &Flags) -> Result<DeleteResponse, Error> {
    let here = || std::env::current_dir().map_err(|err| Error::IoError { context: "find the bundle".into(), err });
    let bundle = if flags.bundle.is_empty() { here()? } else { flags.bundle.clone().into() };
    remove_dead_socket(&bundle);
    let container = Container { id: flags.id.clone(), bundle };
    steps::run_unsupervised("delete", &container).map_err(|error| Error::Other(error.to_string()))?;
    Ok(DeleteResponse { exit_status: KILLED, exited_at: Some(timestamp()?).into(), ..DeleteResponse::default() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_serves_is_removed() {
        let bundle = tempfile::tempdir().expect("a temporary folder can be made");
        let path = bundle.path().join("socket");
        std::fs::write(bundle.path().join(ADDRESS_FILE), format!("unix://{}", path.display()))
            .expect("the folder is ours");
        remove_dead_socket(bundle.path());

        let listener = UnixListener::bind(&path).expect("the folder is ours");
        remove_dead_socket(bundle.path());
        assert!(path.exists(), "somebody listens");
        drop(listener);
        remove_dead_socket(bundle.path());
        assert!(!path.exists(), "nobody listens");

        std::fs::write(&path, "a file").expect("the folder is ours");
        remove_dead_socket(bundle.path());
        assert!(path.exists(), "not a socket");
    }
}
