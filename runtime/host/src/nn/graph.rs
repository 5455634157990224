//! `wasi:nn/graph`: models by name, and where it is granted, models that the guest brings.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Result;
use wasmtime::component::Resource;
use wisp_core::{ErrorKind, Kinded};

use super::{ExecutionContext, NnError};
use crate::account::Account;
use crate::bindings::wasi::nn::graph as wit;
use crate::bindings::wasi::nn::graph::{Host, HostGraph};
use crate::convert::{encoding, target};
use crate::loading::{LoadError, ModelBytes};
use crate::state::State;
use crate::{GraphEncoding, ModelGrant};

/// A granted model as the guest holds it.
pub struct Graph {
    alias: Arc<str>,
    grant: ModelGrant,
}

/// Why a guest did not get a graph.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    /// Nothing of that name is granted. Whether such a model exists elsewhere is not the guest's business.
    #[error("model `{name}` is not granted to deployment `{deployment}`; {remedy}")]
    NotGranted { name: String, deployment: String, remedy: String },
    /// Models from guest memory are not granted.
    #[error("loading a model from the guest's memory is not granted to deployment `{deployment}`; {remedy}")]
    FromBytes { deployment: String, remedy: String },
    /// The model could not be started.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Kinded for GraphError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotGranted { .. } | Self::FromBytes { .. } => ErrorKind::PermissionDenied,
            Self::Load(error) => error.kind(),
        }
    }
}

impl Account {
    /// The model granted under this alias.
    pub(crate) fn granted(&self, alias: &str) -> Result<ModelGrant, GraphError> {
        self.grants.get(alias).cloned().ok_or_else(|| {
            let (name, deployment) = (printable(alias), self.deployment.to_string());
            let remedy = self.grants.outside().written_in.for_model(&deployment, &name);
            GraphError::NotGranted { name, deployment, remedy }
        })
    }

    /// Starts a model that the guest brought. Its bytes count as tensors until it is started.
    pub(crate) async fn load(&self, model: ModelBytes) -> Result<ModelGrant, GraphError> {
        let Some(loader) = self.grants.outside().loader.clone() else {
            let deployment = self.deployment.to_string();
            let remedy = self.grants.outside().written_in.for_loading(&deployment);
            return Err(GraphError::FromBytes { deployment, remedy });
        };
        // Compiling takes a while, and other guests share this thread.
        let started = tokio::task::spawn_blocking(move || loader.load(model)).await;
        match started {
            Ok(started) => Ok(started?.into()),
            Err(_) => Err(LoadError::new(ErrorKind::Internal, "the backend panicked while it loaded the model").into()),
        }
    }
}

impl State {
    fn push_graph(
        &mut self,
        alias: &str,
        found: Result<ModelGrant, GraphError>,
    ) -> Result<Result<Resource<Graph>, Resource<NnError>>> {
        match found {
            Ok(grant) => Ok(Ok(self.push(Graph { alias: alias.into(), grant })?)),
            Err(GraphError::Load(error)) if error.is_encoding => Ok(Err(self.encoding_error(&error)?)),
            Err(error) => Ok(Err(self.nn_error(&error)?)),
        }
    }
}

/// A guest's string as it may stand in a message: short, and without control characters.
fn printable(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What a model from bytes is called in messages.
pub(crate) fn name_of(encoding: GraphEncoding) -> String {
    format!("{encoding:?} from the guest's memory")
}

impl Host for State {
    async fn load(
        &mut self,
        parts: Vec<Vec<u8>>,
        of: wit::GraphEncoding,
        on: wit::ExecutionTarget,
    ) -> Result<Result<Resource<Graph>, Resource<NnError>>> {
        let model = ModelBytes {
            parts: parts.into_iter().map(Bytes::from).collect(),
            encoding: encoding(of),
            target: target(on),
        };
        let alias = name_of(model.encoding);
        let found = self.account.load(model).await;
        self.push_graph(&alias, found)
    }

    fn load_by_name(&mut self, name: String) -> Result<Result<Resource<Graph>, Resource<NnError>>> {
        let found = self.account.granted(&name);
        self.push_graph(&name, found)
    }
}

impl HostGraph for State {
    fn init_execution_context(
        &mut self,
        graph: Resource<Graph>,
    ) -> Result<Result<Resource<ExecutionContext>, Resource<NnError>>> {
        let Graph { alias, grant } = self.table.get(&graph)?;
        let context = ExecutionContext::new(Arc::clone(alias), grant.clone());
        Ok(Ok(self.push(context)?))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}
