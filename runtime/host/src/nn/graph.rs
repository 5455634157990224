//! `wasi:nn/graph`: models by name. The grants of the deployment are the permission check.

use std::sync::Arc;

use wasmtime::component::Resource;
use wisp_core::{ErrorKind, Kinded};

use super::{ExecutionContext, NnError};
use crate::GrantedModel;
use crate::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding, Host, HostGraph};
use crate::state::State;

/// A granted model as the guest holds it.
pub struct Graph {
    model: Arc<GrantedModel>,
}

/// Why a guest did not get a graph.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    /// Nothing of that name is granted. Whether such a model exists elsewhere is not the guest's business.
    #[error(
        "model `{name}` is not granted to deployment `{deployment}`; add it under [deployments.{deployment}] models"
    )]
    NotGranted { name: String, deployment: String },
    /// Models from guest memory are not accepted.
    #[error("loading a model from the guest's memory is not allowed; grant a model and load it by name")]
    FromBytes,
}

impl Kinded for GraphError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::PermissionDenied
    }
}

impl State {
    /// The model granted under this alias.
    pub(crate) fn granted(&self, alias: &str) -> Result<Arc<GrantedModel>, GraphError> {
        let not_granted = || GraphError::NotGranted { name: printable(alias), deployment: self.deployment.to_string() };
        self.grants.get(alias).cloned().ok_or_else(not_granted)
    }
}

/// A guest's string as it may stand in a message: short, and without control characters.
fn printable(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl Host for State {
    fn load(
        &mut self,
        _: Vec<Vec<u8>>,
        _: GraphEncoding,
        _: ExecutionTarget,
    ) -> wasmtime::Result<Result<Resource<Graph>, Resource<NnError>>> {
        Ok(Err(self.nn_error(&GraphError::FromBytes)?))
    }

    fn load_by_name(&mut self, name: String) -> wasmtime::Result<Result<Resource<Graph>, Resource<NnError>>> {
        match self.granted(&name) {
            Ok(model) => Ok(Ok(self.push(Graph { model })?)),
            Err(error) => Ok(Err(self.nn_error(&error)?)),
        }
    }
}

impl HostGraph for State {
    fn init_execution_context(
        &mut self,
        graph: Resource<Graph>,
    ) -> wasmtime::Result<Result<Resource<ExecutionContext>, Resource<NnError>>> {
        let model = Arc::clone(&self.table.get(&graph)?.model);
        Ok(Ok(self.push(ExecutionContext::new(model))?))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}
