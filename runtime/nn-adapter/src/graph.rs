//! A queue as a graph of the crate.

use std::sync::Arc;

use wasmtime_wasi_nn::backend::{BackendError, BackendExecutionContext, BackendGraph};
use wasmtime_wasi_nn::{ExecutionContext, Graph};
use wisp_scheduler::SessionQueue;

use crate::Terms;
use crate::context::SessionContext;
use crate::share::{Share, Stock};

/// Makes a queue a graph, whose guests compute on these terms. What they may hold, all who are given this graph hold together.
#[must_use]
pub fn graph(queue: SessionQueue, terms: Terms) -> Graph {
    let room = Room::new(&terms);
    SessionGraph { queue, terms, room, _started: None }.into()
}

/// A graph as the crate holds it.
pub(crate) struct SessionGraph {
    pub(crate) queue: SessionQueue,
    pub(crate) terms: Terms,
    pub(crate) room: Room,
    /// Its part of the models that may be started, where a guest brought it.
    pub(crate) _started: Option<Share>,
}

/// What contexts may hold. Clones are the same room.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    contexts: Arc<Stock>,
    pub(crate) tensor_bytes: Arc<Stock>,
}

impl Room {
    pub(crate) fn new(terms: &Terms) -> Self {
        Self {
            contexts: Stock::new("execution contexts", terms.context_limit),
            tensor_bytes: Stock::new("bytes of tensors", terms.tensor_limit_bytes),
        }
    }
}

impl From<SessionGraph> for Graph {
    fn from(graph: SessionGraph) -> Self {
        let graph: Box<dyn BackendGraph> = Box::new(graph);
        graph.into()
    }
}

impl BackendGraph for SessionGraph {
    fn init_execution_context(&self) -> Result<ExecutionContext, BackendError> {
        let place = self.room.contexts.take(1)?;
        let (queue, terms) = (self.queue.clone(), self.terms.clone());
        let context = SessionContext::new(queue, terms, Arc::clone(&self.room.tensor_bytes), place);
        let context: Box<dyn BackendExecutionContext> = Box::new(context);
        Ok(context.into())
    }
}
