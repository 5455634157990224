//! Models that guests bring as bytes, started by a function of the host's.

use std::error::Error;
use std::sync::Arc;

use wasmtime_wasi_nn::Graph;
use wasmtime_wasi_nn::backend::{BackendError, BackendFromDir, BackendInner};
use wasmtime_wasi_nn::wit::{ExecutionTarget, GraphEncoding};
use wisp_scheduler::SessionQueue;

use crate::graph::{Room, SessionGraph};
use crate::share::Stock;
use crate::{AdapterError, Terms};

/// Starts a model: its encoding, its parts, none of them empty, and the kind of device that the guest wants. Called on the guest's
/// thread, and once for every `load`: who wants to start equal bytes once keeps the queue.
pub type LoadFunction = dyn Fn(GraphEncoding, &[&[u8]], ExecutionTarget) -> Result<SessionQueue, Box<dyn Error + Send + Sync>>
    + Send
    + Sync;

/// A backend of the crate for one encoding. The crate wants one for each store: clones share the function, and the guests of each may
/// hold as much as the [`Terms`] say, all of their models together.
pub struct SessionBackend {
    encoding: GraphEncoding,
    terms: Terms,
    load: Arc<LoadFunction>,
    models: Arc<Stock>,
    room: Room,
}

impl SessionBackend {
    /// Guests' models of this encoding are started by `load` and compute on these terms.
    #[must_use]
    pub fn new(encoding: GraphEncoding, terms: Terms, load: Arc<LoadFunction>) -> Self {
        let (models, room) = (Stock::new("started models", terms.model_limit), Room::new(&terms));
        Self { encoding, terms, load, models, room }
    }
}

impl Clone for SessionBackend {
    fn clone(&self) -> Self {
        Self::new(self.encoding, self.terms.clone(), Arc::clone(&self.load))
    }
}

impl BackendInner for SessionBackend {
    fn encoding(&self) -> GraphEncoding {
        self.encoding
    }

    fn load(&mut self, parts: &[&[u8]], target: ExecutionTarget) -> Result<Graph, BackendError> {
        if let Some(expected) = parts_of(self.encoding)
            && parts.len() != expected
        {
            return Err(BackendError::InvalidNumberOfBuilders(expected, parts.len()));
        }
        if parts.is_empty() || parts.iter().any(|part| part.is_empty()) {
            return Err(AdapterError::EmptyModel { encoding: self.encoding.to_string() }.into());
        }
        // Taken before the model is started: that is what costs.
        let started = self.models.take(1)?;
        let queue = (self.load)(self.encoding, parts, target).map_err(AdapterError::Load)?;
        let graph = SessionGraph { queue, terms: self.terms.clone(), room: self.room.clone(), _started: Some(started) };
        Ok(graph.into())
    }

    /// Folders of this machine are the host's business: it loads what is in them, and registers the queue.
    fn as_dir_loadable(&mut self) -> Option<&mut dyn BackendFromDir> {
        None
    }
}

impl std::fmt::Debug for SessionBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBackend").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

/// Parts that models of this encoding have, where it says.
fn parts_of(encoding: GraphEncoding) -> Option<usize> {
    match encoding {
        // The graph in XML, and its weights.
        GraphEncoding::Openvino => Some(2),
        GraphEncoding::Onnx | GraphEncoding::Tensorflowlite | GraphEncoding::Ggml => Some(1),
        GraphEncoding::Tensorflow | GraphEncoding::Pytorch | GraphEncoding::Autodetect => None,
    }
}
