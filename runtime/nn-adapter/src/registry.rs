//! Queues by the names that guests load them under.

use std::collections::BTreeMap;

use wasmtime_wasi_nn::{Graph, GraphRegistry};
use wisp_scheduler::SessionQueue;

use crate::{Terms, graph};

/// The graphs of a host. The crate wants a registry for each store: clones share the queues, and the guests of each may hold as
/// much as the [`Terms`] say.
#[derive(Default)]
pub struct SessionRegistry {
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    queue: SessionQueue,
    terms: Terms,
    graph: Graph,
}

impl SessionRegistry {
    /// Each queue under its name, all on the same terms.
    pub fn new(queues: impl IntoIterator<Item = (String, SessionQueue)>, terms: &Terms) -> Self {
        let entries = queues.into_iter().map(|(name, queue)| (name, Entry::new(queue, terms.clone())));
        Self { entries: entries.collect() }
    }

    /// Adds a queue on terms of its own, in place of what had its name.
    pub fn insert(&mut self, name: impl Into<String>, queue: SessionQueue, terms: Terms) {
        self.entries.insert(name.into(), Entry::new(queue, terms));
    }

    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

impl Entry {
    fn new(queue: SessionQueue, terms: Terms) -> Self {
        let graph = graph(queue.clone(), terms.clone());
        Self { queue, terms, graph }
    }
}

impl Clone for SessionRegistry {
    fn clone(&self) -> Self {
        // New graphs, because what is held through one is counted there.
        let entry =
            |(name, entry): (&String, &Entry)| (name.clone(), Entry::new(entry.queue.clone(), entry.terms.clone()));
        Self { entries: self.entries.iter().map(entry).collect() }
    }
}

impl GraphRegistry for SessionRegistry {
    fn get(&self, name: &str) -> Option<&Graph> {
        self.entries.get(name).map(|entry| &entry.graph)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Graph> {
        self.entries.get_mut(name).map(|entry| &mut entry.graph)
    }
}

impl std::fmt::Debug for SessionRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
