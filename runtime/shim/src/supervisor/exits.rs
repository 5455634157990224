//! Ends of processes: the shim reaps all children of the pod, and this hands each end to whoever waits for it.

use std::sync::Arc;

use containerd_shim::monitor::{ExitEvent, Subject, Topic, monitor_subscribe, monitor_unsubscribe};
use log::error;

use crate::supervisor::containers::Containers;

/// Ends of one process that was started while this subscription existed.
pub(super) struct Exits {
    subscription: containerd_shim::monitor::Subscription,
}

impl Exits {
    /// Subscribes; to be called before the process is started, so that its end cannot be missed.
    pub(super) async fn subscribe() -> Result<Self, containerd_shim::Error> {
        Ok(Self { subscription: monitor_subscribe(Topic::Pid).await? })
    }

    /// Waits for the end of `pid` and gives its exit code.
    pub(super) async fn of(&mut self, pid: u32) -> Option<i32> {
        while let Some(event) = self.subscription.rx.recv().await {
            if let Some((ended, code)) = end(&event)
                && ended == pid
            {
                return Some(code);
            }
        }
        None
    }

    /// The next end of any process.
    async fn next(&mut self) -> Option<(u32, i32)> {
        loop {
            let event = self.subscription.rx.recv().await?;
            if let Some(end) = end(&event) {
                return Some(end);
            }
        }
    }

    /// Ends the subscription.
    pub(super) async fn unsubscribe(self) {
        if let Err(error) = monitor_unsubscribe(self.subscription.id).await {
            error!("cannot stop watching a process: {error}");
        }
    }
}

fn end(event: &ExitEvent) -> Option<(u32, i32)> {
    match event.subject {
        Subject::Pid(pid) => Some((pid.unsigned_abs(), event.exit_code)),
        Subject::Exec(..) => None,
    }
}

/// Tells containers about the ends of their processes, for ever.
pub(super) async fn watch(containers: Arc<Containers>) {
    let mut exits = match Exits::subscribe().await {
        Ok(exits) => exits,
        Err(error) => return error!("cannot watch processes: {error}"),
    };
    while let Some((pid, code)) = exits.next().await {
        containers.process_ended(pid, code).await;
    }
}
