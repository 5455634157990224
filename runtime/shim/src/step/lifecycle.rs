//! What happens to a container after it was made: start, signals, pause and the end.

use std::time::Duration;

use libcontainer::container::Container as State;
use libcontainer::signal::Signal;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::error::{Attempt, Error, Result};
use crate::step::{Container, KillAll};

/// Mounts that may lie upon one another at the root file system; a bound for the loop that takes them off.
const MAX_STACKED_MOUNTS: usize = 64;

/// How often a container is deleted before it is given up, and the pause between two attempts: ten seconds in all, half of
/// what a step may take.
const MAX_DELETIONS: usize = 50;
const DELETION_PAUSE: Duration = Duration::from_millis(200);

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
    let deleted = end_and_delete(container);
    unmount(container)?;
    deleted
}

/// Kills what still runs, and removes control groups and state. A control group cannot be removed before its last process has
/// let go of its memory, which takes a moment for an engine with a model; the library waits less than that.
fn end_and_delete(container: &Container) -> Result<()> {
    let state = container.states().join(&container.id);
    let mut attempts = 1;
    loop {
        if !state.exists() {
            return Ok(());
        }
        let deleted = load(container).and_then(|mut state| Ok(state.delete(true)?));
        if deleted.is_ok() || attempts == MAX_DELETIONS {
            return deleted;
        }
        attempts += 1;
        std::thread::sleep(DELETION_PAUSE);
    }
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
