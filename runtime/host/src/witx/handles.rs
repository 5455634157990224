//! The graphs and contexts that a core module holds, by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use wisp_core::NamedTensor;

use super::numbers::Errno;
use crate::ModelGrant;

/// A granted model.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) alias: Arc<str>,
    pub(crate) grant: ModelGrant,
}

/// A model with inputs and outputs, which this interface keeps between calls.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) graph: Graph,
    /// By their place in the model's signature.
    pub(crate) inputs: BTreeMap<usize, NamedTensor>,
    pub(crate) outputs: Vec<NamedTensor>,
}

/// Everything that a module holds. A number is never given twice, so that what was given back cannot be mistaken for what
/// came later.
#[derive(Debug)]
pub(crate) struct Handles {
    graphs: BTreeMap<u32, Graph>,
    contexts: BTreeMap<u32, Context>,
    next: u32,
    limit: usize,
}

impl Handles {
    /// None yet, and at most `limit` of both kinds together.
    pub(crate) fn within(limit: usize) -> Self {
        Self { graphs: BTreeMap::new(), contexts: BTreeMap::new(), next: 0, limit }
    }

    pub(crate) fn add_graph(&mut self, graph: Graph) -> Result<u32, Errno> {
        let number = self.number()?;
        self.graphs.insert(number, graph);
        Ok(number)
    }

    pub(crate) fn graph(&self, number: u32) -> Result<&Graph, Errno> {
        self.graphs.get(&number).ok_or(Errno::InvalidArgument)
    }

    pub(crate) fn remove_graph(&mut self, number: u32) -> Result<(), Errno> {
        self.graphs.remove(&number).map(drop).ok_or(Errno::InvalidArgument)
    }

    pub(crate) fn add_context(&mut self, graph: Graph) -> Result<u32, Errno> {
        let number = self.number()?;
        self.contexts.insert(number, Context { graph, inputs: BTreeMap::new(), outputs: Vec::new() });
        Ok(number)
    }

    pub(crate) fn context(&mut self, number: u32) -> Result<&mut Context, Errno> {
        self.contexts.get_mut(&number).ok_or(Errno::InvalidArgument)
    }

    pub(crate) fn remove_context(&mut self, number: u32) -> Result<Context, Errno> {
        self.contexts.remove(&number).ok_or(Errno::InvalidArgument)
    }

    fn number(&mut self) -> Result<u32, Errno> {
        if self.graphs.len() + self.contexts.len() >= self.limit {
            return Err(Errno::TooLarge);
        }
        let number = self.next;
        self.next = number.checked_add(1).ok_or(Errno::TooLarge)?;
        Ok(number)
    }
}

impl Context {
    /// Bytes of all tensors that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.inputs.values().chain(&self.outputs).map(|held| held.tensor.data().len()).sum()
    }
}
