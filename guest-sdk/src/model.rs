//! A granted model, ready to compute.

use crate::bindings::wasi::nn::graph;
use crate::bindings::wasi::nn::inference::GraphExecutionContext;
use crate::error::{Error, ErrorKind};
use crate::tensor::{HostTensor, NamedTensor, Tensor};

/// A model that this deployment was granted, with one execution context over it.
pub struct Model {
    context: GraphExecutionContext,
}

/// What a model computed. The tensors stay with the host until they are asked for, so an output that nobody reads is never
/// copied into guest memory.
pub struct Outputs {
    tensors: Vec<NamedTensor>,
}

impl Model {
    /// Loads the model that is granted under `alias`.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when the deployment was not granted it, [`ErrorKind::NotFound`] when it does not
    /// exist, and whatever else the host reports.
    pub fn load(alias: &str) -> Result<Self, Error> {
        let context = graph::load_by_name(alias)?.init_execution_context()?;
        Ok(Self { context })
    }

    /// Computes every output of the model for these inputs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when names, types or shapes do not fit the model's signature, and whatever else the
    /// host reports.
    pub fn compute(&self, inputs: Vec<NamedTensor>) -> Result<Outputs, Error> {
        Ok(Outputs { tensors: self.context.compute(inputs)? })
    }
}

impl Outputs {
    /// The names of the outputs, in the model's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, _)| name.as_str())
    }

    /// Copies one output into guest memory.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the model has no output of that name.
    pub fn get(&self, name: &str) -> Result<Tensor<'static>, Error> {
        Tensor::from_host(self.host(name)?)
    }

    /// One output as the host holds it, to be fed to another model without a copy.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the model has no output of that name.
    pub fn take(&mut self, name: &str) -> Result<HostTensor, Error> {
        let position = self.tensors.iter().position(|(output, _)| output == name);
        position.map(|position| self.tensors.remove(position).1).ok_or_else(|| self.missing(name))
    }

    fn host(&self, name: &str) -> Result<&HostTensor, Error> {
        let found = self.tensors.iter().find(|(output, _)| output == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        let names: Vec<_> = self.names().map(|name| format!("`{name}`")).collect();
        let message = format!("output `{name}` does not exist; the model has {}", names.join(", "));
        Error::new(ErrorKind::NotFound, message)
    }
}
