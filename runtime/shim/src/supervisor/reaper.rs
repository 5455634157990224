//! Reaps every child, also those that only became ours because their parents ended, and passes their ends on.

use containerd_shim::Error;
use containerd_shim::monitor::monitor_notify_by_pid;
use log::error;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is added to a signal's number to make an exit code.
const SIGNALLED: i32 = 128;

/// Makes this process the parent of orphans below it, and catches what must not end it.
pub(super) struct Reaper {
    children: Signal,
    /// A shim ends when containerd says so; a terminating node stops the pods first.
    _ignored: [Signal; 2],
}

impl Reaper {
    /// Installs the handlers; to be called before the first child.
    pub(super) fn install() -> Result<Self, Error> {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|error| Error::IoError { context: "become the parent of orphans".into(), err: error.into() })?;
        let catch = |kind| signal(kind).map_err(|err| Error::IoError { context: "catch a signal".into(), err });
        Ok(Self {
            children: catch(SignalKind::child())?,
            _ignored: [catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?],
        })
    }

    /// Reaps for ever.
    pub(super) async fn run(mut self) {
        while self.children.recv().await.is_some() {
            // One signal may stand for many ends.
            loop {
                match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::Exited(pid, code)) => pass_on(pid, code).await,
                    Ok(WaitStatus::Signaled(pid, signal, _)) => pass_on(pid, SIGNALLED + signal as i32).await,
                    Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                    Ok(_) => {}
                    Err(error) => {
                        error!("cannot reap: {error}");
                        break;
                    }
                }
            }
        }
    }
}

async fn pass_on(pid: Pid, code: i32) {
    if let Err(error) = monitor_notify_by_pid(pid.as_raw(), code).await {
        error!("the end of process {pid} was not passed on: {error}");
    }
}
