//! One container as its supervisor knows it: what it is waiting for and how it ended.

use std::path::PathBuf;
use std::time::SystemTime;

use tokio::sync::{Mutex, watch};

use crate::step;
use crate::supervisor::cgroup;

/// The stage that a container is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage {
    /// Made, its program does not run yet.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program ended, with this exit code, then.
    Stopped { code: u32, at: SystemTime },
}

/// Streams that containerd named, repeated to it when it asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    pub(super) stdin: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A container of the pod.
pub(super) struct Container {
    /// Its name and bundle.
    pub(super) place: step::Container,
    /// Its first process.
    pub(super) pid: u32,
    /// Its streams.
    pub(super) streams: Streams,
    /// The folder or file in which the kernel counts kills for want of memory.
    oom_counter: Option<PathBuf>,
    stage: watch::Sender<Stage>,
    /// Held while a request changes the stage, so that the news of a start goes out before the news of an end.
    pub(super) change: Mutex<()>,
}

impl Container {
    /// A container that was just made.
    pub(super) fn new(place: step::Container, pid: u32, streams: Streams) -> Self {
        let oom_counter = oom_counter_in(&cgroup::of(pid));
        Self { place, pid, streams, oom_counter, stage: watch::Sender::new(Stage::Created), change: Mutex::default() }
    }

    /// The stage at this moment.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Goes on to `stage`; nothing leads out of the end.
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let changed = !matches!(current, Stage::Stopped { .. });
            if changed {
                *current = stage;
            }
            changed
        });
    }

    /// Waits for the end: exit code and time.
    pub(super) async fn ended(&self) -> (u32, SystemTime) {
        let mut stages = self.stage.subscribe();
        loop {
            if let Stage::Stopped { code, at } = *stages.borrow_and_update() {
                return (code, at);
            }
            if stages.changed().await.is_err() {
                // The sender lives as long as the container does.
                return (0, SystemTime::now());
            }
        }
    }

    /// Whether the kernel killed a process of the container because its memory limit was reached.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let Some(text) = self.oom_counter.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else {
            return false;
        };
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

/// `memory.events` of cgroup v2 or `memory.oom_control` of v1; both have a line `oom_kill N`.
fn oom_counter_in(cgroups: &str) -> Option<PathBuf> {
    let v1 = cgroup::v1_folder(cgroups, "memory").map(|folder| folder.join("memory.oom_control"));
    v1.or_else(|| cgroup::v2_folder(cgroups).map(|folder| folder.join("memory.events")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oom_counter_is_found_in_both_versions_of_cgroups() {
        let v1 = "5:cpu,cpuacct:/a\n4:memory:/k8s/pod\n0::/x\n";
        assert_eq!(oom_counter_in(v1), Some("/sys/fs/cgroup/memory/k8s/pod/memory.oom_control".into()));
        assert_eq!(oom_counter_in("0::/k8s/pod\n"), Some("/sys/fs/cgroup/k8s/pod/memory.events".into()));
        assert_eq!(oom_counter_in(""), None);
    }

    #[tokio::test]
    async fn an_end_is_final_and_seen_by_everyone_who_waits() {
        let place = step::Container { id: "c".into(), bundle: "/b".into() };
        let container = Container::new(place, 0, Streams::default());
        container.enter(Stage::Running);
        assert_eq!(container.stage(), Stage::Running);
        let at = SystemTime::now();
        let ((code, _), ()) =
            tokio::join!(container.ended(), async { container.enter(Stage::Stopped { code: 3, at }) });
        assert_eq!(code, 3);
        container.enter(Stage::Running);
        assert_eq!(container.ended().await, (3, at));
    }
}
