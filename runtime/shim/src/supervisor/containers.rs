//! The containers of the pod, by name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use containerd_shim::protos::events::task::{TaskExit, TaskOOM};
use log::info;

use crate::supervisor::container::{Container, Stage};
use crate::supervisor::events::Events;

/// Ends of processes that belonged to nobody when they happened. A container can end before `create` has told its process.
const MAX_UNCLAIMED: usize = 64;

/// All containers, and the news about them.
pub(super) struct Containers {
    inner: Mutex<Inner>,
    /// The way to tell containerd.
    pub(super) events: Events,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<String, Arc<Container>>,
    unclaimed: VecDeque<(u32, i32)>,
}

impl Containers {
    /// No containers yet.
    pub(super) fn new(events: Events) -> Self {
        Self { inner: Mutex::default(), events }
    }

    /// Adds a container. If its process ended meanwhile, that is told after what the caller tells first, because it holds
    /// [`Container::change`].
    pub(super) fn add(self: &Arc<Self>, container: Arc<Container>) {
        let early = {
            let mut inner = self.lock();
            inner.by_id.insert(container.place.id.clone(), Arc::clone(&container));
            let position = inner.unclaimed.iter().position(|&(pid, _)| pid == container.pid);
            position.and_then(|position| inner.unclaimed.remove(position))
        };
        if let Some((_, code)) = early {
            let containers = Arc::clone(self);
            tokio::spawn(async move { containers.ended(&container, code).await });
        }
    }

    /// The container called `id`.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.lock().by_id.get(id).cloned()
    }

    /// Forgets the container called `id`.
    pub(super) fn remove(&self, id: &str) {
        self.lock().by_id.remove(id);
    }

    /// Whether no container is left.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().by_id.is_empty()
    }

    /// Takes note that a process ended; most of them are steps and hooks, which nobody asks for here.
    pub(super) async fn process_ended(&self, pid: u32, code: i32) {
        let container = {
            let mut inner = self.lock();
            let found = inner.by_id.values().find(|container| container.pid == pid).cloned();
            if found.is_none() {
                if inner.unclaimed.len() == MAX_UNCLAIMED {
                    inner.unclaimed.pop_front();
                }
                inner.unclaimed.push_back((pid, code));
            }
            found
        };
        if let Some(container) = container {
            self.ended(&container, code).await;
        }
    }

    async fn ended(&self, container: &Container, code: i32) {
        // Not while a request is about to say that the container started.
        let _change = container.change.lock().await;
        let (code, at) = (code.unsigned_abs(), SystemTime::now());
        container.enter(Stage::Stopped { code, at });
        info!("container {} ended with exit code {code}", container.place.id);
        if container.ran_out_of_memory() {
            let event = TaskOOM { container_id: container.place.id.clone(), ..TaskOOM::default() };
            self.events.send(event).await;
        }
        let event = TaskExit {
            container_id: container.place.id.clone(),
            id: container.place.id.clone(),
            pid: container.pid,
            exit_status: code,
            exited_at: Some(at.into()).into(),
            ..TaskExit::default()
        };
        self.events.send(event).await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic half way; a poisoned map is still the right one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
