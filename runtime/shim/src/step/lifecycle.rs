//! What happens to a container after it was made: start, signals, pause and the end.

use libcontainer::container::Container as State;
use libcontainer::signal::Signal;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::error::{Attempt, Error, Result};
use crate::step::{Container, KillAll};

/// Mounts that may lie upon one another at the root file system; a bound for the loop that takes them off.
const MAX_STACKED_MOUNTS: usize = 64;

/// Lets the waiting container run its program.
pub(super) fn start(container: &Container) -> Result<()> {
    Ok(load(container)?.start()?)
}

/// Freezes every process of the container.
pub(super) fn pause(container: &Container) -> Result<()> {
    Ok(load(container)?.pause()?)
}

/// Thaws what [`pause`] froze.
pub(super) fn resume(container: &Container) -> Result<()> {
    Ok(load(container)?.resume()?)
}

/// Sends a signal to every process in the container's cgroup.
pub(super) fn kill_all(request: &KillAll) -> Result<()> {
    let signal = Signal::try_from(request.signal)
        .map_err(|error| Error::Setting { place: format!("signal {}", request.signal), reason: error.to_string() })?;
    Ok(load(&request.container)?.kill(signal, true)?)
}

/// Removes all that is left of a container: processes, cgroups, state and mounts. Works for one that was only half made.
pub(super) fn delete(container: &Container) -> Result<()> {
    let was_made = container.states().join(&container.id).exists();
    let deleted = if was_made { load(container).and_then(|mut state| Ok(state.delete(true)?)) } else { Ok(()) };
    unmount(container)?;
    deleted
}

fn load(container: &Container) -> Result<State> {
    Ok(State::load(container.states().join(&container.id))?)
}

/// Takes off every mount at the root file system, so that the snapshot below is free.
fn unmount(container: &Container) -> Result<()> {
    let rootfs = container.rootfs();
    for _ in 0..MAX_STACKED_MOUNTS {
        match umount2(&rootfs, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            // Not a mount point any more, or never one.
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error).attempt(|| format!("unmount {}", rootfs.display())),
        }
    }
    Ok(())
}
